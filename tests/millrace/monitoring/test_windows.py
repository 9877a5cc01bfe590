"""Which windows are complete, and which are looked at again."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from millrace.monitoring.windows import MOST_WINDOWS, Cursors, Window, plan

FIRST = date(1997, 1, 1)
NEW_YEAR = datetime(1997, 1, 1, tzinfo=UTC)
WEEK = timedelta(days=7)


def planned(as_of: datetime, *, input_weeks: int | None = None, error_weeks: int | None = None) -> tuple[Window, ...]:
    def at(weeks: int | None) -> datetime | None:
        return None if weeks is None else NEW_YEAR + weeks * WEEK

    cursors = Cursors(input=at(input_weeks), error=at(error_weeks))
    return plan(cursors=cursors, first=FIRST, as_of=as_of, days=7, in_a_row=3)


def test_the_first_run_takes_every_complete_window() -> None:
    windows = planned(datetime(1997, 2, 1, 6, tzinfo=UTC))
    assert [(w.start, w.judge_input, w.judge_error) for w in windows] == [
        (NEW_YEAR + k * WEEK, True, True) for k in range(4)
    ]


def test_a_window_is_complete_at_its_last_moment_and_not_before() -> None:
    assert len(planned(NEW_YEAR + WEEK)) == 1
    assert planned(NEW_YEAR + WEEK - timedelta(seconds=1)) == ()


def test_windows_whose_labels_are_late_are_looked_at_again() -> None:
    windows = planned(NEW_YEAR + 5 * WEEK, input_weeks=5, error_weeks=2)
    assert [w.start for w in windows] == [NEW_YEAR + k * WEEK for k in range(5)]
    assert [w.judge_input for w in windows] == [False] * 5
    assert [w.judge_error for w in windows] == [False] * 2 + [True] * 3


def test_a_long_absence_is_caught_up_in_parts() -> None:
    windows = planned(NEW_YEAR + 200 * WEEK, input_weeks=0)
    assert len(windows) == MOST_WINDOWS
    assert windows[0].start == NEW_YEAR


def test_one_decision_about_a_day_long_ago_does_not_hold_up_those_of_now() -> None:
    as_of = datetime(2026, 6, 1, tzinfo=UTC)
    windows = plan(cursors=Cursors(input=None, error=None), first=date(1, 1, 1), as_of=as_of, days=7, in_a_row=3)
    assert len(windows) == MOST_WINDOWS
    assert as_of - WEEK < windows[-1].end <= as_of
