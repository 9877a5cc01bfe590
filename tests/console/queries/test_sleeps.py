"""What an endpoint that was asleep has saved, by the records of its stops and starts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from console.queries.money.endpoint import endpoint_lines, sleeps_of
from millrace.messages.audit import AuditEvent, EndpointStarted, EndpointStopped, VersionLive
from millrace.messages.envelope import Message
from millrace.state.audit import Record
from millrace.workload.prices import usd_per_hour

FIRST = datetime(2026, 11, 1, tzinfo=UTC)
END = FIRST + timedelta(days=10)
USD = usd_per_hour("ml.m5.large")


def at(hours: float) -> datetime:
    return FIRST + timedelta(hours=hours)


def record(event: AuditEvent, details: Message) -> Record:
    return Record(actor="sweep", execution_arn="a", event=event, as_of=FIRST, cause="c", details=details)


def stop(hours: float) -> Record:
    details = EndpointStopped(version="3", instance="ml.m5.large", instances=2, stopped_at=at(hours))
    return record(AuditEvent.ENDPOINT_STOPPED, details)


def start(stopped: float, started: float) -> Record:
    given = {"version": "3", "instance": "ml.m5.large", "instances": 2, "stopped_at": at(stopped)}
    details = EndpointStarted(**given, asked_at=at(started), started_at=at(started))
    return record(AuditEvent.ENDPOINT_STARTED, details)


LIVE = record(
    AuditEvent.RELEASE_LIVE,
    VersionLive(version="3", revision=1, watched_requests=0, live_at=at(0), endpoint_config="c"),
)


@pytest.mark.parametrize(
    ("records", "hours"),
    [
        ([], []),
        ([stop(10), start(10, 24)], [14]),
        ([stop(200)], [40]),
        ([stop(-20), start(-20, 5)], [5]),
        ([stop(-20), start(-20, -5)], []),
        ([stop(10), start(10, 24), stop(50), start(50, 51)], [14, 1]),
        # A sweep that failed after it had stopped the endpoint.
        ([start(10, 24)], [14]),
    ],
)
def test_a_sleep_is_from_stop_to_start_within_the_period(records: list[Record], hours: list[float]) -> None:
    sleeps = sleeps_of(records, FIRST, END)
    assert [one.hours for one in sleeps] == hours
    assert [one.usd for one in sleeps] == pytest.approx([2 * USD * each for each in hours])


def test_what_was_awake_and_what_was_saved_are_the_whole_period() -> None:
    records = [LIVE, stop(10), start(10, 24), stop(50), start(50, 51), stop(230)]
    (line,) = endpoint_lines(None, FIRST, END, records)
    saved = sum(one.usd for one in sleeps_of(records, FIRST, END))
    assert line.usd + saved == pytest.approx(240 * 2 * USD)
