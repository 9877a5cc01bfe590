"""Groups of small drops take turns at their table; a drop that goes alone waits for nobody."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pyarrow.parquet as pq
import pytest
from moto import mock_aws

from millrace.console.demo.months import SAMPLE, months
from millrace.datasets import iceberg
from millrace.state.table import StateTable
from millrace.state.turns import Turns
from tests.functions.cold_start import NAMES, cold_starts, set_variables
from tests.state_table import create_table

ROOT = Path(__file__).resolve().parents[3]
LANDING = NAMES.platform.bucket("landing")


@pytest.fixture
def ingest(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., list[dict[str, Any]]]]:
    """The two handlers as the machine calls them, for drops of one row; what became of each."""
    set_variables(monkeypatch)
    with mock_aws(), cold_starts() as start:
        for bucket in ("lake", "landing"):
            place = {"LocationConstraint": NAMES.platform.region}
            boto3.client("s3").create_bucket(Bucket=NAMES.platform.bucket(bucket), CreateBucketConfiguration=place)
        boto3.client("s3").put_bucket_versioning(Bucket=LANDING, VersioningConfiguration={"Status": "Enabled"})
        boto3.client("glue").create_database(DatabaseInput={"Name": NAMES.platform.database})
        create_table(boto3.client("dynamodb"), NAMES.platform.state_table)
        iceberg._client.cache_clear()
        ingestion, validation = start("ingestion"), start("validation")

        def call(*numbers: int) -> list[dict[str, Any]]:
            event = json.loads((ROOT / "events" / "validation.json").read_text())
            event["state"]["detail"] |= {"feed": "training", "objects": [land(number) for number in numbers]}
            del event["state"]["ingestion"]
            event["state"]["ingestion"] = {"answer": ingestion(event)}
            drops: list[dict[str, Any]] = validation(event)["drops"]
            return drops

        yield call
    iceberg._client.cache_clear()


def land(number: int) -> dict[str, str]:
    (month,) = months(SAMPLE, "1996-05", "1996-05")
    sink, key = io.BytesIO(), f"{NAMES.workload}/training/{number}.parquet"
    pq.write_table(month.rows.slice(number, 1), sink)
    version = boto3.client("s3").put_object(Bucket=LANDING, Key=key, Body=sink.getvalue())["VersionId"]
    return {"bucket": LANDING, "key": key, "version_id": version, "drop_id": f"d{number}"}


def turn() -> dict[str, Any]:
    return StateTable(boto3.client("dynamodb"), NAMES).get("turn#rows")


def test_a_group_takes_its_turn_and_ends_it(ingest: Callable[..., list[dict[str, Any]]]) -> None:
    assert [each["rows_accepted"] for each in ingest(1, 2)] == [1, 1]
    assert turn(), "there was one"
    assert "holder" not in turn()


def test_a_drop_alone_waits_for_no_turn(ingest: Callable[..., list[dict[str, Any]]]) -> None:
    turns = Turns(StateTable(boto3.client("dynamodb"), NAMES))
    with turns.turn("rows", holder="a group"):
        assert [each["rows_accepted"] for each in ingest(1)] == [1]
        assert turn()["holder"] == {"S": "a group"}
