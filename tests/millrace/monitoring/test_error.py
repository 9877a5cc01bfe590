"""The error bound: what it rests on, and what it refuses to rest on."""

from __future__ import annotations

import numpy as np

from millrace.monitoring.error import drawn_series, error_bound, lowest_of


def test_the_smallest_of_windows_in_a_row() -> None:
    assert lowest_of([0.3, 0.1, 0.2, 0.4], 3) == [0.1, 0.1]
    assert lowest_of([0.3, 0.1], 3) == []


def test_too_few_stretches_set_no_bound() -> None:
    assert error_bound([[0.1] * 41], windows=3, rate=0.01) is None
    assert error_bound([[0.1] * 30, [0.2] * 14], windows=3, rate=0.01) is not None


def test_the_bound_keeps_its_rate_on_errors_that_remember() -> None:
    generator = np.random.default_rng(3)
    alarms = judged = 0
    for _ in range(300):
        shocks = generator.normal(size=120)
        level = np.empty(120)
        level[0] = shocks[0]
        for week in range(1, 120):
            level[week] = 0.5 * level[week - 1] + shocks[week] * np.sqrt(1 - 0.25)
        errors = (0.2 + 0.05 * level).clip(0, 1).tolist()
        found = error_bound([errors[:60]], windows=3, rate=0.01)
        assert found is not None
        later = lowest_of(errors[60:], 3)
        alarms += sum(value > found.bound for value in later)
        judged += len(later)
    assert alarms / judged <= 0.01


def test_drawn_windows_bound_what_the_test_rows_would_do_and_not_a_rise() -> None:
    """Rows without an order of time: windows of 40 like the test rows keep below the bound, threefold errors do not."""
    rng = np.random.default_rng(1)
    bound = error_bound([drawn_series(rng.random(400) < 0.05, rows=40)], windows=2, rate=0.01)
    assert bound is not None
    calm = [(rng.random(40) < 0.05).mean() for _ in range(2000)]
    worse = [(rng.random(40) < 0.2).mean() for _ in range(2000)]
    over = [np.mean(np.array(lowest_of(errors, 2)) > bound.bound) for errors in (calm, worse)]
    assert over[0] < 0.02
    assert over[1] > 0.5


def test_a_rise_alarms() -> None:
    found = error_bound([[0.1 + 0.02 * (week % 5) for week in range(60)]], windows=3, rate=0.01)
    assert found is not None
    assert 0.1 < found.bound < 0.35
