"""Images in requests: kept beside their decisions, asked without a time, and rejected alone where they are none."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from millrace.decisions import captured
from millrace.decisions.record import from_line
from tests.functions.conftest import Aws

LAKE = "millrace-local-lake-123456789012-eu-west-1"
SAMPLE = Path(__file__).resolve().parents[3] / "workloads" / "xray" / "sample" / "pneumoniamnist.parquet"
CELLS = pq.read_table(SAMPLE).slice(0, 3).to_pylist()
Predict = Callable[[dict[str, Any]], dict[str, Any]]


@pytest.fixture
def workload() -> str:
    return "xray"


def request(*cells: dict[str, Any]) -> dict[str, Any]:
    return {"rows": [{"id": cell["id"], "image": base64.b64encode(cell["image"]).decode()} for cell in cells]}


def test_a_request_need_not_say_when_it_came(predict: Predict, decisions: Callable[[], list[str]]) -> None:
    before = datetime.now(UTC)
    given = request(CELLS[0], CELLS[1])
    given["rows"][1]["at"] = "2024-01-08T09:30:00Z"
    assert not predict(given)["rejected"]
    now, then = (from_line(line).event_time for line in decisions())
    assert before <= now <= datetime.now(UTC)
    assert then == datetime(2024, 1, 8, 9, 30, tzinfo=UTC)


def test_a_decision_is_not_sent_whose_image_could_not_be_kept(
    aws: Aws, predict: Predict, decisions: Callable[[], list[str]]
) -> None:
    aws.s3.delete_bucket(Bucket=LAKE)
    with pytest.raises(Exception, match="NoSuchBucket"):
        predict(request(CELLS[0]))
    assert decisions() == []


def test_bytes_that_are_not_those_of_the_uri_are_no_input(aws: Aws) -> None:
    uri = f"s3://{LAKE}/xray/captured/{hashlib.sha256(b'a').hexdigest()}"
    captured.keep(aws.s3, {uri: b"b"})
    with pytest.raises(Exception, match="expected bytes of the digest"):
        captured.read(aws.s3, uri)
    assert captured.read_all(aws.s3, [uri.replace("captured", "gone")]) == {}
