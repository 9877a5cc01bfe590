"""Errors that add up: seen soon after they have risen, and seldom without."""

from __future__ import annotations

import numpy as np
import pytest

from millrace.monitoring.concept import FALSE_A_YEAR, allowance, level_after, level_bound

OWN = (0.2 + 0.03 * np.random.default_rng(0).standard_normal(20)).tolist()
ALLOWED = allowance(OWN, is_share=True)


def bound(deviation: float = 0.0) -> float:
    found = level_bound(OWN, windows_a_year=52, deviation=deviation, allowed=ALLOWED)
    assert found is not None
    return found


def test_the_level_rises_above_what_is_allowed_and_never_falls_below_zero() -> None:
    assert level_after(0.0, [0.3, 0.1, 0.1, 0.5], 0.2) == pytest.approx(0.3)
    assert allowance([1.0, 3.0], is_share=False) == pytest.approx(2.06)


def test_too_few_windows_bound_nothing() -> None:
    assert level_bound(OWN[:7], windows_a_year=52, deviation=0.0, allowed=ALLOWED) is None


@pytest.mark.parametrize("deviation", [0.0, 0.04])
def test_quiet_years_alarm_as_seldom_as_stated(deviation: float) -> None:
    random, limit, alarms = np.random.default_rng(7), bound(deviation), 0
    for _ in range(300):
        level = 0.0
        for error in random.choice(OWN, 52) + deviation * random.standard_normal(52):
            level = level_after(level, [float(error)], ALLOWED)
            if level > limit:
                alarms, level = alarms + 1, 0.0
    assert alarms / 300 < 1.3 * FALSE_A_YEAR


def test_an_error_that_has_risen_is_seen_within_weeks_with_few_labels_too() -> None:
    random = np.random.default_rng(8)
    for deviation in (0.0, 0.04):
        errors = 0.35 + deviation * random.standard_normal(4)
        assert level_after(0.0, errors.tolist(), ALLOWED) > bound(deviation)
