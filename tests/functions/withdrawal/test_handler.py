"""A person takes rows out of the tables; who, why and how many is in the audit table."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from typing import Any

import boto3
import pyarrow as pa
import pytest

from localcloud.kernel.cloud import Cloud
from millrace.datasets.decision_rows import join_labels
from millrace.datasets.tables import Lake
from millrace.errors import ConflictError, WithdrawalError
from millrace.names import WorkloadNames
from millrace.state.pseudonyms import Pseudonyms
from millrace.state.table import StateTable
from tests.functions.ingestion.conftest import EVENTS
from tests.functions.ingestion.test_ingest import csv, month, parquet
from tests.state_table import create_table


@pytest.fixture
def asked() -> dict[str, Any]:
    document: dict[str, Any] = json.loads((EVENTS / "withdrawal.json").read_text())
    return document


@pytest.fixture
def audit(cloud: Cloud, names: WorkloadNames) -> Any:
    client, table = cloud.client("dynamodb"), names.platform.audit_table
    create_table(client, table)
    return lambda: [
        {name: value["S"] for name, value in item.items()} for item in client.scan(TableName=table)["Items"]
    ]


def held(lake: Lake, table: str) -> int:
    found = lake.find(table)
    return 0 if found is None else found.scan().to_arrow().num_rows


def test_a_row_and_its_label_leave_together(
    ingest: Any, load: Any, lake: Lake, sample: pa.Table, audit: Any, asked: Any, names: WorkloadNames
) -> None:
    may = month(sample, 1996, 5)
    ingest.run("training", "1996-05.parquet", parquet(may))
    ingest.run("labels", "1996-05.csv", csv(may.select(["timestamp", "class"])))
    del asked["drop"]
    key = {"timestamp": may["timestamp"][7].as_py().isoformat()}
    assert load("withdrawal")(asked | {"key": key}) == {"rows": 1, "labels": 1, "relabelled": 0}
    (record,) = audit()
    assert key["timestamp"] not in json.dumps(record), "nobody can erase a record of the audit"
    again = Pseudonyms(StateTable(boto3.client("dynamodb"), names)).of(key)
    assert json.loads(record["details"])["pseudonym"] == again
    assert (held(lake, "rows"), held(lake, "labels")) == (may.num_rows - 1, may.num_rows - 1)


def test_a_label_file_is_taken_back_and_its_rows_have_their_labels_again(
    ingest: Any, load: Any, lake: Lake, sample: pa.Table, audit: Any, asked: Any
) -> None:
    may = month(sample, 1996, 5).slice(0, 20)  # a file that contradicts more would be held
    ingest.run("training", "1996-05.parquet", parquet(may))
    flipped = may.select(["timestamp"]).append_column("class", pa.array([1 - one for one in may["class"].to_pylist()]))
    ingest.run("labels", "flip.csv", csv(flipped), as_of="1997-08-01T06:00:00Z")
    handler = load("withdrawal")
    prediction = sys.modules["millrace.functions.withdrawal.handler"].ROOM.workload.prediction
    join_labels(lake, None, prediction, run="r")
    asked |= {"drop": "electricity/labels/flip.csv"}
    expected = {"rows": 0, "labels": may.num_rows, "relabelled": may.num_rows}
    assert handler(asked | {"is_preview": True}) == expected
    assert (held(lake, "labels"), audit()) == (may.num_rows, [])
    assert handler(asked) == handler(asked) == expected
    rows = lake.open("rows").scan().to_arrow().sort_by("timestamp")
    assert rows["class"].to_pylist() == may.sort_by("timestamp")["class"].to_pylist()
    (record,) = audit()
    assert (record["event"], record["as_of"]) == ("rows.withdrawn", asked["as_of"])
    said = {name: asked[name] for name in ("by", "reason", "drop")} | {"pseudonym": ""} | expected
    assert json.loads(record["details"]) == said


def test_a_failure_half_way_is_healed_by_a_retry(
    ingest: Any, load: Any, lake: Lake, sample: pa.Table, audit: Any, asked: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first table to lose rows is not the one by which those of the second are found."""
    may = month(sample, 1996, 5)
    ingest.run("training", "1996-05.parquet", parquet(may))
    ingest.run("labels", "1996-05.csv", csv(may.select(["timestamp", "class"])))
    del asked["drop"]
    handler = load("withdrawal")
    module = sys.modules["millrace.functions.withdrawal.handler"]
    key = {"nswdemand": (demand := may["nswdemand"].to_pylist())[7]}
    assert demand.count(demand[7]) == 1
    rows = module.LAKE.contract.rows
    contract = replace(module.LAKE.contract, rows=replace(rows, keys=(*rows.keys, ("nswdemand",))))
    monkeypatch.setattr(module.LAKE, "contract", contract)
    withdraw, calls = module.withdraw, []

    def interrupted(*arguments: Any, **named: Any) -> int:
        calls.append(arguments)
        if len(calls) == 2:
            raise ConflictError("others always won")
        return withdraw(*arguments, **named)  # type: ignore[no-any-return]

    monkeypatch.setattr(module, "withdraw", interrupted)
    with pytest.raises(ConflictError):
        handler(asked | {"key": key})
    assert handler(asked | {"key": key}) == {"rows": 1, "labels": 1, "relabelled": 0}
    assert (held(lake, "rows"), held(lake, "labels")) == (may.num_rows - 1, may.num_rows - 1)
    assert [json.loads(record["details"])["labels"] for record in audit()] == [1]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"key": {"timestamp": "soon"}, "drop": ""}, WithdrawalError),
        ({"drop": ""}, ValueError),
        ({"reason": ""}, ValueError),
        ({"drop": "electricity/training/none.csv"}, WithdrawalError),
    ],
)
def test_what_cannot_be_meant_is_refused(
    change: dict[str, Any], error: type[Exception], load: Any, lake: Lake, audit: Any, asked: Any
) -> None:
    with pytest.raises(error):
        load("withdrawal")(asked | change)
    assert audit() == []
