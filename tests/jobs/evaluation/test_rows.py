"""The rows of an evaluation show an entity that their split divides, and none that it keeps whole."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import yaml

from millrace.contract.schema import Column, Contract, Table
from millrace.datasets.examples import LABEL, examples
from millrace.features import catalogue
from millrace.jobs.evaluation.rows import SplitRows, divided_entity
from millrace.workload.declaration import Workload
from tests.entities import made_up

WORKLOADS = Path(__file__).resolve().parents[3] / "workloads"
HASH = {"by": "key_hash", "validation_share": 0.2, "test_share": 0.2}


@pytest.mark.parametrize(
    ("split", "planted", "expected"),
    [
        (HASH, True, ("subject",)),
        (HASH, False, None),
        ({"by": "group", "column": "subject"}, True, None),
        ({"by": "time"}, True, ("subject",)),
    ],
)
def test_an_entity_that_the_split_divides_is_found(
    split: dict[str, Any], planted: bool, expected: tuple[str, ...] | None
) -> None:
    rows, label = made_up(2, planted=planted)
    start = datetime(2024, 1, 1)  # noqa: DTZ001 the contract's time has no zone
    times = pa.array([start + timedelta(hours=hour) for hour in range(rows.num_rows)], pa.timestamp("us"))
    rows = rows.append_column("at", times).append_column("row", pa.array(np.arange(rows.num_rows)))
    rows = rows.append_column("outcome", pa.array(label))
    document = yaml.safe_load((WORKLOADS / "electricity" / "workload.yaml").read_text())
    readings = [name for name in rows.column_names if name.startswith("reading")]
    document["prediction"] = {
        "task": "regression", "label": "outcome", "key": ["row"], "event_time": "at", "features": readings
    }  # fmt: skip
    days = {"validation_days": 20, "test_days": 20} if split["by"] == "time" else {"validation_days": 0, "test_days": 0}
    document["training"] |= {"split": split, "train_days": None, "walk_forward_steps": 0, **days}
    workload = Workload.model_validate(document)
    kinds = {"subject": "string" if pa.types.is_string(rows["subject"].type) else "int64", "at": "timestamp"}
    columns = tuple(Column(name=name, kind=kinds.get(name, "float64"), required=True) for name in rows.column_names)
    table = Table(name="rows", columns=columns, keys=(("row",),))
    found = examples(rows, workload=workload, features=catalogue.declare(workload.prediction.features, table))
    judged = SplitRows(
        table=found.table, times_N=found.times_N, target_N=found.table[LABEL].to_numpy(), parts=found.parts
    )
    contract = Contract(rows=table, labels=table, digest="")
    entity = divided_entity(judged, workload, contract)
    assert (entity.columns if entity else None) == expected
