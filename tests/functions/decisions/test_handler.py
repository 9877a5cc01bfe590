"""The decisions function, driven by a real SQS event."""

import json
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from millrace.aws.objects import AT_ONCE
from millrace.decisions.record import from_line, to_line
from tests.functions.cold_start import cold_starts, set_variables

EVENT = Path(__file__).resolve().parents[3] / "events" / "decisions_queue.json"
LAKE = "millrace-local-lake-123456789012-eu-west-1"
Write = Callable[[dict[str, Any]], dict[str, Any]]


@pytest.fixture
def write(monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """The handler as Lambda calls it, beside moto's lake."""
    set_variables(monkeypatch)
    with mock_aws(), cold_starts() as start:
        boto3.client("s3").create_bucket(Bucket=LAKE, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        yield start("decisions")


def objects() -> dict[str, list[str]]:
    s3 = boto3.client("s3")
    keys = [found["Key"] for found in s3.list_objects_v2(Bucket=LAKE).get("Contents", [])]
    return {key: s3.get_object(Bucket=LAKE, Key=key)["Body"].read().decode().splitlines() for key in keys}


def ids(lines: list[str]) -> list[str]:
    return [from_line(line).id for line in lines]


def test_one_object_per_event_date(write: Write) -> None:
    event = json.loads(EVENT.read_text())
    assert write(event) == {"batchItemFailures": []}
    found = objects()
    assert sorted(key.rpartition("/")[0] for key in found) == [
        "electricity/decisions/date=1997-01-02",
        "electricity/decisions/date=1997-01-03",
    ]
    sent = [line for record in event["Records"] for line in record["body"].split("\n")]
    assert sorted(name for lines in found.values() for name in ids(lines)) == sorted(ids(sent))


def test_a_second_delivery_changes_nothing(write: Write) -> None:
    event = json.loads(EVENT.read_text())
    write(event)
    before = objects()
    write({"Records": event["Records"][::-1]})
    assert {key: sorted(lines) for key, lines in objects().items()} == {
        key: sorted(lines) for key, lines in before.items()
    }


@pytest.mark.parametrize(
    ("said", "instead"),
    [
        ('"phase":"live"', '"phase":"lively"'),
        ('"phase":"live"', f'"phase":{"[" * 950}{"]" * 950}'),
        ('"phase":"live"', f'"phase":{"[" * 2000}'),
        ('"phase":"live"', '"phase":"live","watched":{"a":1' + "0" * 400 + "}"),
        ('"latency_ms":12.5', '"latency_ms":1' + "0" * 400),
        ('"eventId":"8f5', '"eventId":"\ud800'),
        ('"data":"{\\"day', '"data":"\\ud800{\\"day'),
        ('"inferenceTime":"2026-11-20T07:30:00.000000Z"', '"inferenceTime":"0001-01-01T00:00:00+14:00"'),
    ],
    ids=["word", "deep", "deeper", "large", "large-latency", "surrogate", "surrogate-input", "early"],
)
def test_a_bad_message_fails_alone(said: str, instead: str, write: Write) -> None:
    event = json.loads(EVENT.read_text())
    bad = event["Records"][0]
    assert said in bad["body"]
    bad["body"] = bad["body"].replace(said, instead)
    assert write(event) == {"batchItemFailures": [{"itemIdentifier": bad["messageId"]}]}
    kept = [name for lines in objects().values() for name in ids(lines)]
    assert sorted(kept) == sorted(ids(event["Records"][1]["body"].split("\n")))


def of_days(days: int) -> dict[str, Any]:
    """A batch whose decisions are about so many days, in four messages."""
    event = json.loads(EVENT.read_text())
    one, first = from_line(event["Records"][0]["body"].split("\n")[0]), datetime(1997, 1, 1, tzinfo=UTC)
    lines = [to_line(replace(one, id=f"d-{day}", event_time=first + timedelta(days=day))) for day in range(days)]
    bodies = ["\n".join(lines[start::4]) for start in range(4)]
    return {"Records": [{"messageId": f"m-{number}", "body": body} for number, body in enumerate(bodies)]}


def test_a_thousand_days_are_written_some_at_a_time(write: Write) -> None:
    """One after the other they would take longer than the function has, on every delivery."""
    together = threading.Barrier(AT_ONCE, timeout=20)
    client = sys.modules["millrace.functions.decisions.handler"].S3

    def meet(**_: Any) -> None:
        together.wait()

    client.meta.events.register("before-call.s3.PutObject", meet)
    assert write(of_days(1000)) == {"batchItemFailures": []}
    assert len([line for lines in objects().values() for line in lines]) == 1000


def test_a_day_that_cannot_be_written_brings_the_batch_again(write: Write) -> None:
    client = sys.modules["millrace.functions.decisions.handler"].S3

    def refuse(model: Any, params: dict[str, Any], **_: Any) -> None:
        if "1997-01-07" in params["url_path"]:
            raise OSError("no way to S3")

    client.meta.events.register("before-call.s3.PutObject", refuse)
    with pytest.raises(OSError, match="no way"):
        write(of_days(12))
