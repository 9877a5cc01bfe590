"""Which line of an id counts, and which objects are read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import boto3
import pytest
from moto import mock_aws

from millrace.decisions.record import Decision, prefix, to_line
from millrace.decisions.store import (
    find_decision,
    find_unreadable,
    read_days,
    read_lines,
    stored_days,
)
from tests import builders

BUCKET = "lake"
NOON = datetime(1997, 1, 1, 12, tzinfo=UTC)
FIRST = builders.decision(
    id="r-0",
    event_time=NOON,
    key={"timestamp": "1997-01-01T12:00:00"},
    output={"value": 1, "probability": 0.5, "confidence": 0.5},
    latency_ms=1.0,
)
LATER = replace(FIRST, inferred_at=NOON + timedelta(seconds=3), fallback=True)


def line(decision: Decision) -> bytes:
    return to_line(decision).encode()


@pytest.fixture
def client() -> Iterator[Any]:
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket=BUCKET)
        yield client


def put(client: Any, day: date, name: str, *decisions: Decision) -> None:
    body = b"".join(line(one) + b"\n" for one in decisions)
    client.put_object(Bucket=BUCKET, Key=f"{prefix('electricity', day)}{name}.jsonl", Body=body)


def test_lines_that_are_no_decisions_are_counted() -> None:
    found = read_lines([b"", b"{}", line(FIRST), b"no json"])
    assert (found.decisions, found.unreadable) == ((FIRST,), 3)


def test_objects_with_lines_that_are_no_decisions_are_named(client: Any) -> None:
    day = NOON.date()
    put(client, day, "good", FIRST)
    key = f"{prefix('electricity', day)}bad.jsonl"
    client.put_object(Bucket=BUCKET, Key=key, Body=b"{}\n" + line(LATER) + b"\nno json\n")
    assert find_unreadable(client, BUCKET, "electricity", day) == {key: 2}


def test_only_the_days_are_read(client: Any) -> None:
    days = [date(1997, 1, day) for day in (1, 2, 3, 10)]
    for day in days:
        at = datetime(1997, 1, day.day, tzinfo=UTC)
        put(client, day, "x", replace(FIRST, id=f"of-{day.day}", event_time=at))
    assert sorted(stored_days(client, BUCKET, "electricity")) == days
    found = read_days(client, BUCKET, "electricity", {days[1], days[3]})
    assert [decision.id for decision in found.decisions] == ["of-2", "of-10"]
    assert read_days(client, BUCKET, "electricity", ()).decisions == ()
    assert find_decision(client, BUCKET, "electricity", "of-1", days[1:]) is None
    assert find_decision(client, BUCKET, "electricity", "of-", days) is None
