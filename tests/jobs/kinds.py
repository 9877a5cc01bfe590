"""Small workloads of other inputs than columns: scans, whose brighter half is the label, a load ahead, and texts."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from tests import builders
from tests.builders import LABEL, NUMBER, TEXT, TIME, column, columns
from tests.jobs.synthetic import workload

SCANS, HOURS, SIDE, AHEAD, NOTES = 600, 24 * 75, 16, 6, 900
FILLER = [f"{first}{last}" for first in ("ba", "ko", "li", "mu", "ze") for last in ("den", "fer", "lot", "nis", "rup")]
START = datetime(2024, 1, 1)  # noqa: DTZ001 the contracts' times have no zone


def scans() -> pa.Table:
    """Grey noise of 16 × 16; one half of the image is brighter, and which one is the label."""
    rng = np.random.default_rng(0)
    label_N = rng.integers(0, 2, SCANS)
    pixels = rng.integers(60, 160, (SCANS, SIDE, SIDE))
    pixels[label_N == 1, : SIDE // 2] += 30
    pixels[label_N == 0, SIDE // 2 :] += 30
    parts = np.array(["train", "train", "train", "val", "test"], object)[np.arange(SCANS) % 5]
    return pa.table({
        "id": [f"{number:04}" for number in range(SCANS)],
        "at": pa.array([START] * SCANS, pa.timestamp("us")),
        "part": parts.tolist(),
        "scan": [image.astype(np.uint8).tobytes() for image in pixels],
        "is_upper": label_N,
    })  # fmt: skip


def scans_contract() -> dict[str, Any]:
    image = {"property": "image", "value": {"encoding": "raw", "shape": [SIDE, SIDE]}}
    identity = column("id", TEXT, key=1)
    at = column("at", TIME, customProperties=[{"property": "generated", "value": "event_time"}])
    label = column("is_upper", {"logicalType": "integer", "validValues": [0, 1]}, customProperties=[LABEL])
    scan = column("scan", {"logicalType": "string", "physicalType": "BINARY"}, customProperties=[image])
    return builders.contract(
        "scans", [identity, at, column("part", TEXT, required=False), scan, label], [identity, at, label]
    )


def scans_workload() -> dict[str, Any]:
    parameters = {"channels": [8, 16], "epochs": 4, "batch_size": 32, "shift": 0, "learning_rate": 0.005}
    training = {"family": "cnn", "parameters": parameters, "validation_days": 0, "test_days": 0}
    training |= {"split": {"by": "column", "column": "part", "validation": "val"}, "walk_forward_steps": 0}
    prediction = {"label": "is_upper", "key": ["id"], "features": ["scan"]}
    gates = {"baseline": {"kind": "base_rate", "margin": 0.2}}
    return _workload("scans", "binary", prediction, training, gates)


def load() -> pa.Table:
    """A daily wave whose height changes slowly: the load 6 hours ahead follows from the last day, not from one hour."""
    rng = np.random.default_rng(0)
    hour_N = np.arange(HOURS)
    load_N = (10 + 3 * np.sin(hour_N / 97)) * np.sin(hour_N * 2 * np.pi / 24) + rng.normal(0, 0.3, HOURS)
    missing_N = rng.random(HOURS) < 0.05
    return pa.table({
        "at": pa.array([START + timedelta(hours=int(hour)) for hour in hour_N], pa.timestamp("us")),
        "load": pa.array([None if gone else x for gone, x in zip(missing_N, load_N.tolist(), strict=True)]),
        "wind": rng.normal(5, 2, HOURS),
    })  # fmt: skip


def load_contract() -> dict[str, Any]:
    at, known = column("at", TIME, key=1), [LABEL, {"property": "input", "value": True}]
    label = column("load", NUMBER, required=False, customProperties=known)
    return builders.contract("load", [at, label, column("wind", NUMBER)], [at, label])


def load_workload() -> dict[str, Any]:
    parameters = {"units": 16, "hidden": 32, "epochs": 10, "batch_size": 64, "learning_rate": 0.01}
    past = {"name": "past", "history": ["load", "wind"], "hours": 24}
    prediction = {"label": {"column": "load", "horizon_hours": AHEAD}, "key": ["at"], "features": ["wind", past]}
    gates = {"baseline": {"kind": "seasonal_naive", "lag_hours": AHEAD, "margin": 0.3}}
    training = {"family": "gru", "parameters": parameters, "validation_days": 10, "test_days": 15}
    return _workload("load", "regression", prediction, training | {"walk_forward_steps": 1}, gates)


def notes() -> pa.Table:
    """A dozen words in any order; a good note has one of three words that a bad one never has."""
    rng = np.random.default_rng(0)
    label_N = rng.integers(0, 2, NOTES)
    said = np.array([["poor", "late", "torn"], ["fine", "swift", "neat"]])
    texts = [" ".join(rng.permutation([*rng.choice(FILLER, 11), said[label, rng.integers(0, 3)]])) for label in label_N]
    parts = np.array(["train", "train", "train", "val", "test"], object)[np.arange(NOTES) % 5]
    return pa.table({
        "id": [f"{number:04}" for number in range(NOTES)],
        "at": pa.array([START] * NOTES, pa.timestamp("us")),
        "part": parts.tolist(),
        "note": texts,
        "is_good": label_N,
    })  # fmt: skip


def notes_contract() -> dict[str, Any]:
    document = scans_contract()
    for label in columns(document, "is_upper"):
        label["name"] = "is_good"
    [scan] = columns(document, "scan")
    rows = document["schema"][0]["properties"]
    rows[rows.index(scan)] = column("note", TEXT)
    return document | {"id": "notes", "name": "notes"}


def notes_workload() -> dict[str, Any]:
    document = scans_workload()
    document["prediction"] |= {"label": "is_good", "features": [{"name": "note", "encoder": "text"}]}
    document["training"] |= {"family": "bag", "parameters": {"dimension": 16, "batch_size": 32, "learning_rate": 0.02}}
    document["gates"] |= {"size": {"max_mb": 20}}
    return document | {"name": "notes"}


def mixed() -> pa.Table:
    """Scans with notes and a weight, any of which a row may lack; each says the label that it would say alone."""
    rng = np.random.default_rng(0)
    table = scans()
    label_N = table["is_upper"].to_numpy()
    said = np.array([["poor", "late", "torn"], ["fine", "swift", "neat"]])
    texts = [" ".join([*rng.choice(FILLER, 5), said[label, rng.integers(0, 3)]]) for label in label_N]
    lacking_3N = rng.random((3, SCANS)) < 0.2
    weight_N = label_N + rng.normal(0, 0.5, SCANS)
    cells = (table["scan"].to_pylist(), texts, weight_N.tolist())
    columns = [
        [None if lacks else cell for lacks, cell in zip(lacking_N, column, strict=True)]
        for lacking_N, column in zip(lacking_3N, cells, strict=True)
    ]
    at = table.column_names.index("scan")
    table = table.set_column(at, "scan", pa.array(columns[0], pa.binary()))
    return table.append_column("note", pa.array(columns[1])).append_column("weight", pa.array(columns[2]))


def mixed_contract() -> dict[str, Any]:
    document = scans_contract()
    [scan] = columns(document, "scan")
    scan["required"] = False
    document["schema"][0]["properties"][-1:-1] = [
        column("note", TEXT, required=False),
        column("weight", NUMBER, required=False),
    ]
    return document | {"id": "mixed", "name": "mixed"}


def mixed_workload() -> dict[str, Any]:
    document = scans_workload()
    document["prediction"]["features"] = ["scan", {"name": "note", "encoder": "text"}, "weight"]
    parameters = {"channels": [8, 16], "dimension": 16, "epochs": 8, "batch_size": 32, "learning_rate": 0.01}
    document["training"] |= {"family": "multimodal", "parameters": parameters | {"shift": 0}}
    document["gates"] |= {"size": {"max_mb": 20}}
    return document | {"name": "mixed"}


def _workload(
    name: str, task: str, prediction: dict[str, Any], training: dict[str, Any], gates: dict[str, Any]
) -> dict[str, Any]:
    document = workload(task, prediction=prediction, training=training)
    return document | {"name": name, "gates": document["gates"] | gates | {"latency": {"max_p99_ms": 2000}}}
