"""What a training run is given, the first time and after a champion."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from millrace.contract.load import load_contract
from millrace.errors import SnapshotError
from millrace.messages.training_run import Run
from millrace.state.pointers import Pointers, ReleasePointers, Version
from millrace.state.table import StateTable
from tests.functions.ingestion.conftest import EVENTS
from tests.functions.ingestion.test_ingest import parquet

FOLDER = Path(__file__).parents[3] / "workloads" / "electricity"
CHAMPION = Version(
    package_arn="arn", version="1", model_name="m", run="r",
    baseline_uri="s3://b/baseline.json", model_data_url="s3://b/model.tar.gz",
)  # fmt: skip


@pytest.fixture
def event() -> dict[str, Any]:
    document: dict[str, Any] = json.loads((EVENTS / "snapshot.json").read_text())
    return document


def read(ingest: Any, uri: str) -> bytes:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    body: bytes = ingest.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    return body


def test_a_run_gets_its_rows_and_its_rules(ingest: Any, sample: Any, event: Any) -> None:
    committed = ingest.run("training", "a.parquet", parquet(sample.slice(0, 96)))
    answer = ingest.load("snapshot")(event)
    assert (answer["rows"], answer["tag"], answer["gate"]) == (96, "first-run", "baseline")
    assert answer["snapshot_id"] == committed["snapshot_id"]
    run = Run.model_validate_json(read(ingest, f"{answer['config_uri']}run.json"))
    assert (run.run, run.rows, run.reason, run.code_digest) == ("first-run", 96, "first", "c0de")
    assert run.contract_digest == load_contract(FOLDER).digest
    for name in ("workload.yaml", "contract.yaml"):
        assert read(ingest, answer["config_uri"] + name) == (FOLDER / name).read_bytes()
    assert len(json.loads(read(ingest, answer["manifest_uri"]))) == 2
    assert [field["name"] for field in json.loads(read(ingest, f"{answer['config_uri']}schema.json"))["fields"]][
        -1
    ] == "_source"


def test_asked_again_it_is_the_same_run(ingest: Any, sample: Any, event: Any) -> None:
    ingest.run("training", "a.parquet", parquet(sample.slice(0, 96)))
    first = ingest.load("snapshot")(event)
    ingest.run("training", "b.parquet", parquet(sample.slice(96, 96)))
    assert ingest.load("snapshot")(event) == first
    assert ingest.load("snapshot")(event | {"run": "second"})["rows"] == 192


def test_beside_a_champion_the_gate_is_non_inferiority(
    ingest: Any, sample: Any, event: Any, cloud: Any, names: Any
) -> None:
    ingest.run("training", "a.parquet", parquet(sample.slice(0, 96)))
    ReleasePointers(StateTable(cloud.client("dynamodb"), names)).move(Pointers(champion=CHAMPION))
    event["state"]["reason"] = "alarm"
    answer = ingest.load("snapshot")(event)
    assert (answer["gate"], answer["reason"]) == ("non_inferiority", "alarm")


def test_without_rows_there_is_nothing_to_train_on(ingest: Any, event: Any) -> None:
    with pytest.raises(SnapshotError):
        ingest.load("snapshot")(event)
