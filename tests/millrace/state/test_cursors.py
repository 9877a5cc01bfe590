"""A monitor's cursor moves forward only."""

from __future__ import annotations

from datetime import timedelta

from millrace.state.cursors import WindowCursors
from millrace.timestamps import moment

NOW = moment("1997-06-01T06:00:00Z")


def test_the_cursor_never_goes_back(table):
    cursors = WindowCursors(table)
    assert cursors.find("monitor") is None
    assert cursors.advance("monitor", window_end=NOW)
    assert not cursors.advance("monitor", window_end=NOW - timedelta(days=1))
    assert not cursors.advance("monitor", window_end=NOW)
    assert cursors.find("monitor") == NOW
