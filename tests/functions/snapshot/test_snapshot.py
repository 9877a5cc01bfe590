"""What a training run is given, the first time and after a champion."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest

from millrace.aws.objects import read_object
from millrace.contract.load import load_contract
from millrace.messages.training_run import Run
from millrace.state.pointers import Pointers, ReleasePointers
from millrace.state.table import StateTable
from tests.builders import parquet, version
from tests.functions.ingestion.conftest import EVENTS
from tests.functions.ingestion.test_ingest import csv
from tests.shipped import ELECTRICITY
from tests.state_table import create_table

LATER = "1997-08-01T06:00:00Z"
CHAMPION = version("1")


@pytest.fixture
def event() -> dict[str, Any]:
    document: dict[str, Any] = json.loads((EVENTS / "snapshot.json").read_text())
    return document


def read(ingest: Any, uri: str) -> bytes:
    return read_object(ingest.s3, uri)


def test_a_run_gets_its_rows_and_its_rules(ingest: Any, sample: Any, event: Any) -> None:
    committed = ingest.run("training", "a.parquet", parquet(sample.slice(0, 96)))
    answer = ingest.load("snapshot")(event)
    assert (answer["rows"], answer["tag"], answer["gate"]) == (96, "first-run", "baseline")
    assert answer["volume_gb"] == 31
    assert answer["snapshot_id"] == committed["snapshot_id"]
    run = Run.model_validate_json(read(ingest, f"{answer['config_uri']}run.json"))
    assert (run.run, run.rows, run.reason, run.code_digest) == ("first-run", 96, "first", "c0de")
    assert run.contract_digest == load_contract(ELECTRICITY).digest
    for name in ("workload.yaml", "contract.yaml"):
        assert read(ingest, answer["config_uri"] + name) == (ELECTRICITY / name).read_bytes()
    assert len(json.loads(read(ingest, answer["manifest_uri"]))) == 2
    schema = json.loads(read(ingest, f"{answer['config_uri']}schema.json"))
    assert [field["name"] for field in schema["fields"]][-2:] == ["_source", "_arrived"]
    assert json.loads(read(ingest, f"{answer['config_uri']}labels.json")) == {"schema": None, "files": []}


def test_asked_again_it_is_the_same_run(ingest: Any, sample: Any, event: Any) -> None:
    ingest.run("training", "a.parquet", parquet(sample.slice(0, 96)))
    first = ingest.load("snapshot")(event)
    ingest.run("training", "b.parquet", parquet(sample.slice(96, 96)))
    assert ingest.load("snapshot")(event) == first
    assert ingest.load("snapshot")(event | {"run": "second"})["rows"] == 192


@pytest.fixture
def audit(cloud: Any, names: Any) -> Any:
    client, table = cloud.client("dynamodb"), names.platform.audit_table
    create_table(client, table)
    return lambda: [json.loads(item["details"]["S"]) for item in client.scan(TableName=table)["Items"]]


def labels(rows: pa.Table, *, flipped: int) -> bytes:
    """The rows' labels, the first ones inverted."""
    values = [1 - one if at < flipped else one for at, one in enumerate(rows["class"].to_pylist())]
    return csv(rows.select(["timestamp"]).append_column("class", pa.array(values)))


def test_a_label_file_that_inverts_the_rows_holds_the_training_until_a_person_accepts(
    ingest: Any, sample: Any, event: Any, lake: Any, audit: Any
) -> None:
    """Twenty contradict no more than a day may: the file itself is not held."""
    rows = sample.slice(0, 20)
    ingest.run("training", "a.parquet", parquet(rows))
    ingest.run("labels", "flip.csv", labels(rows, flipped=20), as_of=LATER)
    snapshot = ingest.load("snapshot")
    for run in ("first-run", "second", "second"):
        answer = snapshot(event | {"run": run})
        assert answer["corrections"] == {
            "rows": 20, "labelled": 20, "share": 1.0, "moved": 1.0, "bound": 0.05, "is_held": True,
            "unmeasured": 0, "first_unmeasured": "",
        }  # fmt: skip
    assert all(record["is_held"] for record in audit())
    event["state"]["accept_corrections"] = True
    answer = snapshot(event | {"run": "accepted"})
    assert (answer["corrections"]["rows"], answer["corrections"]["is_held"]) == (20, False)
    assert len(json.loads(read(ingest, answer["manifest_uri"]))) == 3, "a file of rows and one of labels"
    assert snapshot(event | {"run": "next"})["corrections"]["rows"] == 0, "what a person has accepted counts"


@pytest.mark.parametrize(("flipped", "is_held"), [(4, False), (5, True)])
def test_a_few_corrections_pass_and_stand_in_the_audit(
    ingest: Any, sample: Any, event: Any, lake: Any, audit: Any, flipped: int, is_held: bool
) -> None:
    rows = sample.slice(0, 96)
    ingest.run("training", "a.parquet", parquet(rows))
    ingest.run("labels", "mend.csv", labels(rows, flipped=flipped), as_of=LATER)
    answer = ingest.load("snapshot")(event)
    assert (answer["corrections"]["is_held"], answer["corrections"]["rows"]) == (is_held, flipped)
    assert [(record["rows"], record["labelled"]) for record in audit()] == [(flipped, 96)]


def test_few_corrections_at_a_time_are_counted_since_the_live_version_was_trained(
    ingest: Any, sample: Any, event: Any, lake: Any, audit: Any, cloud: Any, names: Any
) -> None:
    rows = sample.slice(0, 96)
    ingest.run("training", "a.parquet", parquet(rows))
    snapshot = ingest.load("snapshot")
    assert snapshot(event | {"run": "r"})["corrections"]["rows"] == 0
    ReleasePointers(StateTable(cloud.client("dynamodb"), names)).move(Pointers(champion=CHAMPION))
    ingest.run("labels", "one.csv", labels(rows.slice(0, 4), flipped=4), as_of=LATER)
    assert not snapshot(event | {"run": "r1"})["corrections"]["is_held"]
    ingest.run("labels", "two.csv", labels(rows.slice(4, 4), flipped=4), as_of=LATER)
    answer = snapshot(event | {"run": "r2"})
    assert answer["gate"] == "non_inferiority", "beside a champion"
    held = answer["corrections"]
    assert (held["rows"], held["labelled"], held["is_held"]) == (8, 96, True)
