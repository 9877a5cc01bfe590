"""A small workload of every kind of column, written by a test: a shop that counts what it sells."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tests import builders
from tests.builders import BOOLEAN, LABEL, NUMBER, TEXT, TIME, column
from tests.jobs.conftest import WORKLOAD, Snapshot, declared_in, write_snapshot

ROWS = 1500
CITIES = tuple(f"city {number:02}" for number in range(20))
HUES = ("red", "blue", "green")
LABELS: dict[str, dict[str, Any]] = {
    "multiclass": TEXT | {"validValues": ["low", "mid", "high"]},
    "regression": NUMBER,
    "interval": NUMBER,
    "forecast": NUMBER,
    "multilabel": BOOLEAN,
    "count": {"logicalType": "integer", "physicalType": "INTEGER"},
}
FEATURES = ("load", "hue", "city", "open")
KEYS: dict[str, dict[str, Any]] = {
    "interval": {"quantiles": [0.1, 0.9]},
    "forecast": {"quantiles": [0.1, 0.9], "label": {"column": "sold", "horizon_hours": [4, 24]}},
    "multilabel": {"label": ["sold", "sold_out"]},
}
"""The keys of `prediction` that a task needs."""


def make_rows(task: str) -> pa.Table:
    """1500 rows, one every two hours: `load` may be missing, the label follows from the features but for some noise."""
    rng = np.random.default_rng(0)
    load, hue, city = rng.normal(20, 5, ROWS), rng.integers(0, 3, ROWS), rng.integers(0, len(CITIES), ROWS)
    is_open, missing = rng.random(ROWS) < 0.7, rng.random(ROWS) < 0.1
    amount = 3 + (load - 20) / 5 * ~missing + hue + 2 * is_open + (city % 5) / 2 + rng.normal(0, 0.3, ROWS)
    start = datetime.fromisoformat("2020-01-01")
    labels = {
        "multiclass": np.array(["low", "mid", "high"], object)[np.digitize(amount, [5, 7])],
        "regression": amount * 1000,
        "interval": amount * 1000,
        # What is sold follows two rows, four hours, after its causes; a day ahead nothing is known.
        "forecast": np.roll(amount, 2) * 1000,
        "multilabel": amount > 5,
        "count": rng.poisson(np.clip(amount, 0.1, None)).astype(np.int32),
    }
    return pa.table({
        "at": pa.array([start + timedelta(hours=2 * number) for number in range(ROWS)], pa.timestamp("us")),
        "load": pa.array([None if gone else value for gone, value in zip(missing, load.tolist(), strict=True)]),
        "hue": [HUES[number] for number in hue],
        "city": [CITIES[number] for number in city],
        "open": is_open,
        "sold": labels[task],
        **({"sold_out": amount > 7} if task == "multilabel" else {}),
    })  # fmt: skip


def contract(task: str) -> dict[str, Any]:
    marks = [LABEL] if task != "forecast" else [LABEL, {"property": "input", "value": True}]
    names = ("sold", "sold_out") if task == "multilabel" else ("sold",)
    at, labels = column("at", TIME, key=1), [column(name, LABELS[task], customProperties=marks) for name in names]
    hue, load = column("hue", TEXT | {"validValues": [*HUES]}), column("load", NUMBER, required=False)
    columns = [at, load, hue, column("city", TEXT), column("open", BOOLEAN), *labels]
    return builders.contract("shop", columns, [at, *labels, column("prediction_id", TEXT, required=False)])


def workload(task: str, **changes: Any) -> dict[str, Any]:
    """That of electricity, but for what its rows and their task ask for."""
    document, _ = reversed(declared_in(WORKLOAD))
    prediction = {"task": task, "label": "sold", "key": ["at"], "event_time": "at", "features": list(FEATURES)}
    training = {
        "family": "feedforward",
        "parameters": {"hidden": [32], "epochs": 20, "batch_size": 64, "learning_rate": 0.01, "dropout": 0},
        "validation_days": 14,
        "test_days": 14,
        "walk_forward_steps": 1,
        "first_rows": 500,
        "instance": dict.fromkeys(("local", "dev", "prod"), "ml.m5.large"),
        "max_runtime_minutes": 10,
    }
    del document["gates"]["calibration"]
    document["gates"]["non_inferiority"]["recent_days"] = 14
    return document | {
        "name": "shop",
        "prediction": prediction | KEYS.get(task, {}) | changes.pop("prediction", {}),
        "training": training | changes.pop("training", {}),
        **changes,
    }


def write_shop(folder: Path, task: str, **changes: Any) -> Snapshot:
    """A run's files of the shop, as the train machine leaves them; `changes` go into workload.yaml."""
    return write_snapshot(folder, make_rows(task), contract(task), workload(task, **changes))
