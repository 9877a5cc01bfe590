"""Plans which windows of event time a monitor run looks at."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from millrace.messages.monitor import Window

MOST_WINDOWS = 60
"""The most windows of one run. Those that are left wait for the next run."""


@dataclass(frozen=True, kw_only=True)
class Cursors:
    """How far earlier runs have come; None before the first run."""

    input: datetime | None
    """The end of the windows whose input is judged."""
    error: datetime | None
    """The end of the windows whose error is judged or given up."""


def plan(*, cursors: Cursors, first: date | None, as_of: datetime, days: int, in_a_row: int) -> tuple[Window, ...]:
    """The windows of `days` days that a run looks at, in order of time, at most MOST_WINDOWS; empty if nothing is open.

    All of them ended by `as_of`. New windows follow the input's cursor. Without a cursor they begin at midnight (UTC)
    of `first`, the first day with a decision, but not before the last MOST_WINDOWS: otherwise one decision about a day
    long ago would hold up those of now. In front of the first window with an open error there are `in_a_row` - 1 more,
    which its judgement needs; at least one, whose labels say whether the model's own expectation is believed."""
    start = cursors.input or (_first_start(first, as_of, days) if first else None)
    if start is None:
        return ()
    # Windows are numbered from the input's cursor: 0 is the first with new input, -1 the one before it. The cursor of
    # the error lies before it by the windows whose labels have not come. For example with in_a_row = 3:
    #   -4 -3 | -2 -1 | 0 1      -4, -3 complete the row; -2, -1 wait for labels; 0, 1 are new
    step, open_from = timedelta(days=days), cursors.error or start
    before = max(-(-(start - open_from) // step), 0) + (max(in_a_row - 1, 1) if cursors.error else 0)
    after = max((as_of - start) // step, 0)
    windows = []
    for number in range(-before, after):
        end = start + (number + 1) * step
        windows.append(Window(start=end - step, end=end, judge_input=end > start, judge_error=end > open_from))
    opened = any(window.judge_input or window.judge_error for window in windows)
    return tuple(windows[:MOST_WINDOWS]) if opened else ()


def _first_start(first: date, as_of: datetime, days: int) -> datetime:
    """The start of the first window of all. It is later than `first` by whole windows, if there would be too many."""
    start, step = datetime.combine(first, time(), UTC), timedelta(days=days)
    left_out = (as_of - start) // step - MOST_WINDOWS
    return start + max(left_out, 0) * step


def dates(windows: tuple[Window, ...]) -> tuple[date, ...]:
    """Every calendar day (UTC) that the windows touch."""
    touched = ((one.start.date(), (one.end - timedelta.resolution).date()) for one in windows)
    days = (first + timedelta(days=day) for first, last in touched for day in range((last - first).days + 1))
    return tuple(dict.fromkeys(days))
