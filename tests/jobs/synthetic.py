"""A small workload of every kind of column, written by a test: a shop that counts what it sells."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tests import builders
from tests.jobs.conftest import Snapshot, write_snapshot

ROWS = 1500
CITIES = tuple(f"city {number:02}" for number in range(20))
HUES = ("red", "blue", "green")
LABELS: dict[str, dict[str, Any]] = {
    "multiclass": {"logicalType": "string", "physicalType": "STRING", "validValues": ["low", "mid", "high"]},
    "regression": {"logicalType": "number", "physicalType": "DOUBLE"},
    "interval": {"logicalType": "number", "physicalType": "DOUBLE"},
    "forecast": {"logicalType": "number", "physicalType": "DOUBLE"},
    "multilabel": {"logicalType": "boolean", "physicalType": "BOOLEAN"},
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
    at = {
        "name": "at",
        "logicalType": "timestamp",
        "physicalType": "TIMESTAMP",
        "primaryKey": True,
        "primaryKeyPosition": 1,
        "required": True,
        "logicalTypeOptions": {"timezone": False},
    }
    sold = {"name": "sold", "required": True, "customProperties": [{"property": "role", "value": "label"}]}
    sold |= _typed(**LABELS[task])
    if task == "forecast":
        sold["customProperties"].append({"property": "input", "value": True})
    labels = [sold | {"name": name} for name in (("sold", "sold_out") if task == "multilabel" else ("sold",))]
    columns = [
        at,
        {"name": "load", "logicalType": "number", "physicalType": "DOUBLE", "required": False},
        {"name": "hue", "required": True, **_typed("string", "STRING", list(HUES))},
        {"name": "city", "logicalType": "string", "physicalType": "STRING", "required": True},
        {"name": "open", "logicalType": "boolean", "physicalType": "BOOLEAN", "required": True},
        *labels,
    ]
    prediction_id = {"name": "prediction_id", "logicalType": "string", "physicalType": "STRING", "required": False}
    return builders.contract("shop", columns, [at, *labels, prediction_id])


def _typed(logicalType: str, physicalType: str, validValues: list[str] | None = None) -> dict[str, Any]:
    typed: dict[str, Any] = {"logicalType": logicalType, "physicalType": physicalType}
    if validValues:
        arguments = {"validValues": validValues}
        rule = {"type": "library", "metric": "invalidValues", "arguments": arguments, "mustBe": 0}
        typed["quality"] = [rule | {"dimension": "conformity"}]
    return typed


def workload(task: str, **changes: Any) -> dict[str, Any]:
    instance = dict.fromkeys(("local", "dev", "prod"), "ml.m5.large")
    prediction = {"task": task, "label": "sold", "key": ["at"], "event_time": "at", "features": list(FEATURES)}
    prediction |= KEYS.get(task, {})
    training = {
        "family": "feedforward",
        "parameters": {"hidden": [32], "epochs": 20, "batch_size": 64, "learning_rate": 0.01, "dropout": 0},
        "validation_days": 14,
        "test_days": 14,
        "walk_forward_steps": 1,
        "first_rows": 500,
        "instance": instance,
        "max_runtime_minutes": 10,
    }
    gates = {
        "baseline": {"kind": "seasonal_naive", "lag_hours": 24, "margin": 0.01},
        "latency": {"max_p99_ms": 50},
        "size": {"max_mb": 10},
        "non_inferiority": {"recent_days": 14, "margin": 0.02, "confidence": 0.95},
    }
    return {
        "name": "shop",
        "owner": "shop",
        "prediction": prediction | changes.pop("prediction", {}),
        "training": training | changes.pop("training", {}),
        "gates": gates,
        "rollout": {
            "phases": ["live"],
            "instance": instance,
            "max_instances": 1,
            "invocations_per_instance": 1000,
        },
        "monitors": {"window_days": 7, "schedule": "rate(7 days)", "false_alarm_rate": 0.01, "error_windows": 3},
        "retraining": {
            "schedule": "rate(90 days)",
            "cool_down_days": 1,
            "minimum_new_labels": 1,
            "maximum_runs_per_month": 1,
        },
        "budget": {"monthly_usd": 50},
    } | changes


def write_shop(folder: Path, task: str, **changes: Any) -> Snapshot:
    """A run's files of the shop, as the train machine leaves them; `changes` go into workload.yaml."""
    return write_snapshot(folder, make_rows(task), contract(task), workload(task, **changes))
