"""Groups of small drops take turns at their table; a drop that goes alone waits for nobody."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from millrace.console.demo.months import SAMPLE, months
from millrace.datasets import iceberg
from millrace.state.turns import Turns
from tests.builders import parquet
from tests.functions.cold_start import NAMES
from tests.functions.conftest import Aws

ROOT = Path(__file__).resolve().parents[3]
LANDING = NAMES.platform.bucket("landing")


@pytest.fixture
def ingest(aws: Aws, load: Any) -> Iterator[Callable[..., list[dict[str, Any]]]]:
    """The two handlers as the machine calls them, for drops of one row; what became of each."""
    aws.glue.create_database(DatabaseInput={"Name": NAMES.platform.database})
    iceberg.s3_client.cache_clear()
    ingestion, validation = load("ingestion"), load("validation")

    def call(*numbers: int) -> list[dict[str, Any]]:
        event = json.loads((ROOT / "events" / "validation.json").read_text())
        event["state"]["detail"] |= {"feed": "training", "objects": [land(number) for number in numbers]}
        del event["state"]["ingestion"]
        event["state"]["ingestion"] = {"answer": ingestion(event)}
        drops: list[dict[str, Any]] = validation(event)["drops"]
        return drops

    yield call
    iceberg.s3_client.cache_clear()


def land(number: int) -> dict[str, str]:
    (month,) = months(SAMPLE, "1996-05", "1996-05")
    body, key = parquet(month.rows.slice(number, 1)), f"{NAMES.workload}/training/{number}.parquet"
    version = boto3.client("s3").put_object(Bucket=LANDING, Key=key, Body=body)["VersionId"]
    return {"bucket": LANDING, "key": key, "version_id": version, "drop_id": f"d{number}"}


def test_a_group_takes_its_turn_and_ends_it_and_a_drop_alone_waits_for_none(aws: Aws, ingest: Any) -> None:
    assert [each["rows_accepted"] for each in ingest(1, 2)] == [1, 1]
    assert aws.state.get("turn#rows"), "there was one"
    assert "holder" not in aws.state.get("turn#rows")
    with Turns(aws.state).turn("rows", holder="a group"):
        assert [each["rows_accepted"] for each in ingest(3)] == [1]
        assert aws.state.get("turn#rows")["holder"] == {"S": "a group"}
