"""The error bound: what it rests on, and what it refuses to rest on."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from millrace.decisions.outcome_columns import Outcomes
from millrace.decisions.record import Decision
from millrace.messages.monitor import Window
from millrace.monitoring.error import (
    SIZES,
    BoundByRows,
    ErrorBound,
    bound_of_days,
    drawn_bound,
    error_bound,
    stretches_of,
)
from millrace.monitoring.feedback import feedback
from millrace.monitoring.windows import MOST_WINDOWS, Cursors, plan
from tests import builders
from tests.outcomes import outcomes_of


def lowest_of(errors: list[float], windows: int) -> list[float]:
    return [min(each) for each in stretches_of([errors], windows)]


def test_too_few_stretches_set_no_bound() -> None:
    assert error_bound([[0.1] * 41], windows=3, rate=0.01) is None
    assert error_bound([[0.1] * 30, [0.2] * 14], windows=3, rate=0.01) is not None
    assert stretches_of([[0.3, 0.1, 0.2, 0.4], [0.5]], 3) == ((0.3, 0.1, 0.2), (0.1, 0.2, 0.4))


def test_the_bound_keeps_its_rate_on_errors_that_remember() -> None:
    generator = np.random.default_rng(3)
    alarms = judged = 0
    for _ in range(300):
        errors = (0.2 + 0.05 * remembering(generator, 120)).clip(0, 1).tolist()
        found = error_bound([errors[:60]], windows=3, rate=0.01)
        assert found is not None
        later = lowest_of(errors[60:], 3)
        alarms += sum(value > found.bound for value in later)
        judged += len(later)
    assert alarms / judged <= 0.01


def share_above(bound: ErrorBound, error: float, *, rows: int) -> float:
    """Of stretches of windows of so many rows, of a model that is wrong on this share of rows."""
    rng = np.random.default_rng(2)
    errors = (rng.random((4000, rows)) < error).mean(axis=1).tolist()
    limit = bound.of(rows)
    assert limit is not None
    return float(np.mean(np.array(lowest_of(errors, bound.windows)) > limit))


@pytest.mark.parametrize("rows", [20, 40, 160, 640])
def test_drawn_windows_bound_what_the_test_rows_would_do_and_not_a_rise(rows: int) -> None:
    """Rows without an order of time: windows like the test rows keep below the bound of their size, larger errors do
    not; the more rows, the smaller the rise that is seen."""
    errors = (np.random.default_rng(1).random(400) < 0.05).astype(float)
    bound = drawn_bound(errors, rows=40, windows=2, rate=0.01)
    assert bound is not None
    assert share_above(bound, float(errors.mean()), rows=rows) < 0.02
    assert share_above(bound, {20: 0.4, 40: 0.2, 160: 0.12, 640: 0.1}[rows], rows=rows) > 0.5


@pytest.mark.night("by day two windows of one size are drawn beside their bound")
def test_what_few_test_rows_say_of_many_is_uncertain() -> None:
    """The bound of large windows lies above the error by what other test rows of the same kind would have changed."""
    rng = np.random.default_rng(4)
    alarms = []
    for _ in range(100):
        bound = drawn_bound((rng.random(300) < 0.1).astype(float), rows=40, windows=2, rate=0.01)
        assert bound is not None
        alarms.append(share_above(bound, 0.1, rows=1280))
    assert np.mean(alarms) < 0.05


def test_a_window_is_judged_by_the_bound_of_its_size() -> None:
    by_rows = (BoundByRows(rows=20, bound=0.3), BoundByRows(rows=40, bound=0.2))
    bound = ErrorBound(bound=0.25, windows=2, by_rows=by_rows)
    assert [bound.of(rows) for rows in (19, 20, 39, 40, 10_000)] == [None, 0.3, 0.3, 0.2, 0.2]
    assert ErrorBound(bound=0.25, windows=2).of(1) == 0.25


def test_errors_that_do_not_vary_set_no_bound_or_themselves() -> None:
    assert drawn_bound(np.zeros(300), rows=40, windows=2, rate=0.01) is None
    always = drawn_bound(np.ones(300), rows=40, windows=2, rate=0.01)
    assert always is not None
    assert {each.rows for each in always.by_rows} == {*SIZES}
    assert [each.bound for each in always.by_rows] == pytest.approx([1.0] * len(SIZES))


@pytest.mark.parametrize(
    ("days", "apart", "level"),
    [
        *(pytest.param(*one, marks=pytest.mark.night("by day unlike days")) for one in ((8, 0, 0.15), (15, 0, 0.02))),
        (15, 0.5, 0.15),
    ],
)
def test_without_a_history_an_error_alarms_above_the_interval_of_the_test_error(
    days: int, apart: float, level: float
) -> None:
    """Twenty rows a day, ten of them with a label. Days may be unlike by `apart` log odds, each like the one before."""
    generator, alarms, rings, judged = np.random.default_rng(7), 0, 0, 0
    for _ in range(40):
        odds = np.log(level / (1 - level)) + apart * remembering(generator, days + 20)
        errors = (generator.random((days + 20, 20)) < 1 / (1 + np.exp(-odds[:, None]))).astype(float)
        of_days = np.repeat(np.arange(days), 20)
        found = bound_of_days(errors[:days].ravel(), of_days, days=1, rate=0.01, is_share=True)
        assert found is not None
        limit = found.of(9)  # as much as ten labels of twenty rows tell
        assert limit is not None
        alarms += int((errors[days:, :10].mean(axis=1) > limit).sum())
        rings += limit < 1
        judged += 20
    assert alarms / judged <= 0.01
    assert rings >= 39, "of a day without a right answer the alarm is raised"


def remembering(generator: np.random.Generator, count: int) -> np.ndarray:
    """Values of deviation 1, each of which remembers the one before."""
    found = generator.normal(size=count)
    for at in range(1, count):
        found[at] = 0.5 * found[at - 1] + found[at] * np.sqrt(0.75)
    return found


def test_one_day_says_nothing_of_later_ones() -> None:
    assert bound_of_days(np.ones(40), np.zeros(40, int), days=1, rate=0.01, is_share=True) is None


Given = list[tuple[Decision, int]]
AT = datetime(1997, 5, 1, tzinfo=UTC)
DECISION = builders.decision(id="r-0", event_time=AT, output={"value": 1, "confidence": 0.95}, latency_ms=1.0)


def outcomes(rows: int, rate: float, seed: int, *, held: bool, confidence: float = 0.95) -> Given:
    """Answers 1, of which `rate` have the label 1."""
    ones = np.random.default_rng(seed).random(rows) < rate
    output = {"value": 1, "confidence": confidence}
    decision = replace(DECISION, output=output, action="review", reason="held_out") if held else DECISION
    return [(decision, int(one)) for one in ones]


def together(*parts: Given) -> Outcomes:
    every = [one for part in parts for one in part]
    decisions, labels = [decision for decision, _ in every], [label for _, label in every]
    return outcomes_of(decisions, labels, [float(not label) for label in labels])


def test_the_interval_holds_the_difference_that_acting_has_made() -> None:
    covered = 0
    for seed in range(1000):
        held = outcomes(200, 0.6, 2 * seed, held=True)
        found = feedback(together(held, outcomes(800, 0.8, 2 * seed + 1, held=False)))
        assert found is not None
        (share,) = [one for one in found.figures if one.name == "share of 1"]
        covered += share.low <= 0.2 <= share.high
    assert 930 <= covered <= 975


def test_what_was_held_out_and_would_not_have_acted_does_not_count() -> None:
    unsure = outcomes(200, 0.5, 1, held=True, confidence=0.6)
    found = feedback(together(outcomes(100, 0.9, 2, held=True), unsure, outcomes(300, 0.9, 3, held=False)))
    assert found is not None
    assert (found.held_out, found.acted) == (100, 300)
    assert all(one.low < 0 < one.high for one in found.figures)


def test_with_few_labels_nothing_is_said() -> None:
    assert feedback(together(outcomes(19, 0.5, 1, held=True), outcomes(300, 0.5, 2, held=False))) is None


def test_a_share_of_none_is_not_certain() -> None:
    found = feedback(together(outcomes(50, 1, 1, held=True), outcomes(50, 1, 2, held=False)))
    assert found is not None
    assert all(one.low < 0 < one.high for one in found.figures)


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
