"""A monitor's cursor moves forward only."""

from __future__ import annotations

from datetime import timedelta

from millrace.state.cursors import StoredCursors
from millrace.state.reported_failures import ReportedFailures
from millrace.timestamps import parse_utc

NOW = parse_utc("1997-06-01T06:00:00Z")


def test_the_cursor_never_goes_back(table):
    cursors = StoredCursors(table)
    assert cursors.find("monitor") is None
    assert cursors.advance("monitor", end=NOW)
    assert not cursors.advance("monitor", end=NOW - timedelta(days=1))
    assert not cursors.advance("monitor", end=NOW)
    assert cursors.find("monitor") == NOW


def test_a_failure_that_was_told_is_known_until_it_is_forgotten(table):
    reported, later = ReportedFailures(table), NOW + timedelta(minutes=5)
    reported.note("train:a", as_of=NOW)
    reported.note("train:b", as_of=later)
    assert reported.find() == {"train:a": NOW, "train:b": later}
    reported.forget(reported.find(), until=NOW)
    assert reported.find() == {"train:b": later}


def test_a_failure_of_a_redriven_execution_is_noted_anew(table):
    reported = ReportedFailures(table)
    for as_of in (NOW, NOW + timedelta(minutes=5)):
        reported.note("train:a", as_of=as_of)
    assert reported.find() == {"train:a": NOW + timedelta(minutes=5)}
    assert StoredCursors(table).find("monitor") is None
