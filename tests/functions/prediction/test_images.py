"""Images in requests: kept beside their decisions, asked without a time, and rejected alone where they are none."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pyarrow.parquet as pq
import pytest

from millrace.decisions import captured
from millrace.decisions.record import from_line

LAKE = "millrace-local-lake-123456789012-eu-west-1"
SAMPLE = Path(__file__).resolve().parents[3] / "workloads" / "xray" / "sample" / "pneumoniamnist.parquet"
CELLS = pq.read_table(SAMPLE).slice(0, 3).to_pylist()
Predict = Callable[[dict[str, Any]], dict[str, Any]]


@pytest.fixture
def workload() -> str:
    return "xray"


@pytest.fixture
def lake(queue_url: str) -> Any:
    client = boto3.client("s3", region_name="eu-west-1")
    client.create_bucket(Bucket=LAKE, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    return client


def request(*cells: dict[str, Any]) -> dict[str, Any]:
    return {"rows": [{"id": cell["id"], "image": base64.b64encode(cell["image"]).decode()} for cell in cells]}


def kept(lake: Any) -> list[str]:
    return [entry["Key"] for entry in lake.list_objects_v2(Bucket=LAKE).get("Contents", [])]


def measuring(answer: dict[str, Any]) -> dict[str, Any]:
    watched = {"image.brightness": 145.5, "image.contrast": 36.25}
    return answer | {"predictions": [one | {"watched": watched} for one in answer["predictions"]]}


def test_a_decision_names_the_image_that_is_kept_beside_it(
    lake: Any, predict: Predict, decisions: Callable[[], list[str]]
) -> None:
    answer = predict(request(CELLS[0], CELLS[0], CELLS[1]))
    assert not answer["rejected"]
    lines = decisions()
    assert max(map(len, lines)) < 1200
    digests = [hashlib.sha256(cell["image"]).hexdigest() for cell in CELLS]
    assert sorted(kept(lake)) == sorted(f"xray/captured/{digest}" for digest in digests[:2])
    inputs = [json.loads(from_line(line).input) for line in lines]
    uris = [document["image"]["uri"] for document in inputs]
    assert [uri.rpartition("/")[2] for uri in uris] == [digests[0], digests[0], digests[1]]
    assert [captured.read(lake, uri) for uri in uris] == [CELLS[place]["image"] for place in (0, 0, 1)]


def test_a_request_need_not_say_when_it_came(lake: Any, predict: Predict, decisions: Callable[[], list[str]]) -> None:
    before = datetime.now(UTC)
    given = request(CELLS[0], CELLS[1])
    given["rows"][1]["at"] = "2024-01-08T09:30:00Z"
    assert not predict(given)["rejected"]
    now, then = (from_line(line).event_time for line in decisions())
    assert before <= now <= datetime.now(UTC)
    assert then == datetime(2024, 1, 8, 9, 30, tzinfo=UTC)


def test_an_image_that_the_container_cannot_decode_is_rejected_beside_the_others(
    lake: Any, predict: Predict, endpoint: Any, decisions: Callable[[], list[str]]
) -> None:
    reason = {"column": "image", "expected": "PNG data of 28 x 28 pixels", "came": '"iVBOR'}

    def second_rejected(answer: dict[str, Any]) -> dict[str, Any]:
        answer["predictions"][1] = {"rejected": reason}
        return answer

    endpoint.change = second_rejected
    cut = CELLS[1] | {"image": CELLS[1]["image"][:100]}
    wrong = CELLS[1] | {"image": b"no image"}
    answer = predict(request(wrong, CELLS[0], cut, CELLS[2]))
    assert [(one["row"], one["reason"], one["column"]) for one in answer["rejected"]] == [
        (0, "image", "image"),
        (2, "image", "image"),
    ]
    assert answer["rejected"][1]["expected"] == reason["expected"]
    assert [(one["row"], one["fallback"]) for one in answer["predictions"]] == [(1, False), (3, False)]
    found = [from_line(line) for line in decisions()]
    assert [one.key for one in found] == [{"id": CELLS[0]["id"]}, {"id": CELLS[2]["id"]}]
    assert len(kept(lake)) == 2


def test_what_the_container_measured_is_in_the_decision(
    lake: Any, predict: Predict, endpoint: Any, decisions: Callable[[], list[str]]
) -> None:
    endpoint.change = measuring
    answer = predict(request(CELLS[0]))
    assert "watched" not in answer["predictions"][0]
    (line,) = decisions()
    assert from_line(line).watched == {"image.brightness": 145.5, "image.contrast": 36.25}


def test_a_decision_is_not_sent_whose_image_could_not_be_kept(
    queue_url: str, predict: Predict, decisions: Callable[[], list[str]]
) -> None:
    """There is no lake."""
    with pytest.raises(Exception, match="NoSuchBucket"):
        predict(request(CELLS[0]))
    assert decisions() == []


def test_bytes_that_are_not_those_of_the_uri_are_no_input(lake: Any) -> None:
    uri = f"s3://{LAKE}/xray/captured/{hashlib.sha256(b'a').hexdigest()}"
    captured.keep(lake, {uri: b"b"})
    with pytest.raises(Exception, match="expected bytes of the digest"):
        captured.read(lake, uri)
    assert captured.read_all(lake, [uri.replace("captured", "gone")]) == {}
