"""Which line of an id counts, and which objects are read."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import boto3
import pytest
from moto import mock_aws

from millrace.decisions.record import Decision, prefix, to_line
from millrace.decisions.store import (
    READERS,
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


def test_of_the_lines_of_an_id_the_one_that_was_inferred_last_counts_in_any_order() -> None:
    other = replace(FIRST, latency_ms=9.0)
    for order in itertools.permutations(map(line, (FIRST, LATER, other))):
        assert read_lines(order).decisions == (LATER,)


def test_of_two_lines_of_the_same_moment_the_same_one_counts_in_any_order() -> None:
    other = replace(FIRST, latency_ms=9.0)
    one, turned = (read_lines(order).decisions for order in itertools.permutations(map(line, (FIRST, other))))
    assert one == turned


def test_lines_that_are_no_decisions_are_counted() -> None:
    found = read_lines([b"", b"{}", line(FIRST), b"no json"])
    assert (found.decisions, found.unreadable) == ((FIRST,), 3)


def test_objects_with_lines_that_are_no_decisions_are_named(client: Any) -> None:
    day = NOON.date()
    put(client, day, "good", FIRST)
    key = f"{prefix('electricity', day)}bad.jsonl"
    client.put_object(Bucket=BUCKET, Key=key, Body=b"{}\n" + line(LATER) + b"\nno json\n")
    assert find_unreadable(client, BUCKET, "electricity", day) == {key: 2}


@pytest.mark.parametrize(("first", "second"), [("a", "b"), ("b", "a")])
def test_the_names_and_the_times_of_objects_decide_nothing(client: Any, first: str, second: str) -> None:
    """The later line is written first, and once in the first object by name, once in the last."""
    put(client, NOON.date(), first, LATER)
    put(client, NOON.date(), second, FIRST)
    assert read_days(client, BUCKET, "electricity", {NOON.date()}).decisions == (LATER,)
    kept = find_decision(client, BUCKET, "electricity", "r-0", [NOON.date()])
    assert kept is not None
    assert kept.decision == LATER
    assert kept.uri.endswith(f"{first}.jsonl")


def test_objects_are_read_side_by_side(client: Any) -> None:
    """Each read waits for others: one after another, the first would wait in vain."""
    count = 2 * READERS
    for number in range(count):
        put(client, NOON.date(), f"{number:02d}", replace(FIRST, id=f"r-{number}"))
    together = threading.Barrier(READERS, timeout=10)

    def wait(**_: Any) -> None:
        together.wait()

    client.meta.events.register("before-call.s3.GetObject", wait)
    assert len(read_days(client, BUCKET, "electricity", {NOON.date()}).decisions) == count


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
