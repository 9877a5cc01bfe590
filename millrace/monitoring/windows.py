"""Windows of event time: which are complete, and which of them a monitor run looks at."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

MOST_WINDOWS = 60
"""Of one run; what is left waits for the next."""


@dataclass(frozen=True, kw_only=True)
class Window:
    """A stretch of event time, half open."""

    start: datetime
    end: datetime
    judge_input: bool
    """Whether its input was not judged before."""
    judge_error: bool
    """Whether its error is still open; the others are only there to make a row of successive windows."""


@dataclass(frozen=True, kw_only=True)
class Cursors:
    """The end of the windows judged by earlier runs; None before the first."""

    input: datetime | None
    error: datetime | None


def plan(*, cursors: Cursors, first: date | None, as_of: datetime, days: int, in_a_row: int) -> tuple[Window, ...]:
    """The windows of `days` days that ended by `as_of` and have something open, in order of time; at most MOST_WINDOWS.

    They follow on the input's cursor, or begin at midnight (UTC) of `first`, the first day with a decision, but with
    the last MOST_WINDOWS at the earliest: one decision about a day long ago would else hold up those of now. Before
    the first open error there are `in_a_row` - 1 more, which its judgement needs."""
    start = cursors.input or (_first_start(first, as_of, days) if first else None)
    if start is None:
        return ()
    # Windows are numbered from the input's cursor: 0 is the first whose input is new, -1 the one before it. The error's
    # cursor lies behind it by the windows whose labels have not come, e.g. with in_a_row = 3:
    #   -4 -3 | -2 -1 | 0 1      -4, -3 for the row only; -2, -1 wait for labels; 0, 1 are new
    step, open_from = timedelta(days=days), cursors.error or start
    before = max(-(-(start - open_from) // step), 0) + (in_a_row - 1 if cursors.error else 0)
    after = max((as_of - start) // step, 0)
    windows = []
    for number in range(-before, after):
        end = start + (number + 1) * step
        windows.append(Window(start=end - step, end=end, judge_input=end > start, judge_error=end > open_from))
    opened = any(window.judge_input or window.judge_error for window in windows)
    return tuple(windows[:MOST_WINDOWS]) if opened else ()


def _first_start(first: date, as_of: datetime, days: int) -> datetime:
    start, step = datetime.combine(first, time(), UTC), timedelta(days=days)
    left_out = (as_of - start) // step - MOST_WINDOWS
    return start + max(left_out, 0) * step


def dates(windows: tuple[Window, ...]) -> tuple[date, ...]:
    """Every calendar day (UTC) that the windows touch."""
    found: dict[date, None] = {}
    for window in windows:
        day = window.start.date()
        while datetime.combine(day, time(), UTC) < window.end:
            found[day] = None
            day += timedelta(days=1)
    return tuple(found)
