"""Whether a version's error has risen for good: concept drift, by what its windows add up to (CUSUM, Page 1954).

    level = max(0, level + error - usual - TOLERANCE)          for each window, once its labels have come

`usual` is the version's own mean error on windows that it was not trained on. Years drawn from these windows go beyond
the bound FALSE_A_YEAR times a year. What missing labels leave open is added to them, so fewer labels take longer, but
give no more false alarms.

Axes: K windows that the version was not trained on, Y drawn years, W windows of a year."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from millrace.monitoring.live_error import LiveError

TOLERANCE = 0.03
"""A share of wrong answers that is higher by less is no drift; of amounts, as a share of the usual error."""
FALSE_A_YEAR = 0.5
FEWEST = 8
"""With fewer windows nothing is said: a year drawn from them would be too quiet."""
YEARS, HALVINGS = 400, 20
"""How many years are drawn, and how often the interval is halved in which the bound lies."""


def allowance(own: Sequence[float], *, is_share: bool) -> float:
    """The error that a window may have without the level rising."""
    usual = float(np.mean(own))
    return usual + (TOLERANCE if is_share else TOLERANCE * usual)


def level_after(level: float, errors: Sequence[float], allowed: float) -> float:
    """The level after these windows."""
    for error in errors:
        level = max(0.0, level + error - allowed)
    return level


def level_bound(own: Sequence[float], *, windows_a_year: int, deviation: float, allowed: float) -> float | None:
    """The level that means drift; None with fewer than FEWEST windows.

    `deviation` is what missing labels leave open in a window."""
    if len(own) < FEWEST:
        return None
    generator = np.random.default_rng(0)
    drawn_YW = generator.choice(np.asarray(own), (YEARS, windows_a_year))
    drawn_YW = drawn_YW + deviation * generator.standard_normal(drawn_YW.shape)
    low, high = 0.0, float(np.clip(drawn_YW - allowed, 0, None).sum(axis=1).max())
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if _alarms(drawn_YW - allowed, middle) > FALSE_A_YEAR * YEARS else (low, middle)
    return high


def _alarms(added_YW: np.typing.NDArray[np.float64], bound: float) -> int:
    """How often the levels of the years pass the bound, each beginning anew then."""
    level_Y, count = np.zeros(len(added_YW)), 0
    for added_Y in added_YW.T:
        level_Y = np.maximum(0.0, level_Y + added_Y)
        count += int((passed_Y := level_Y > bound).sum())
        level_Y[passed_Y] = 0.0
    return count


def deviation_of(windows: Sequence[LiveError]) -> float:
    """What missing labels leave open in a window, over several of them."""
    return float(np.sqrt(np.mean([one.deviation**2 for one in windows]))) if windows else 0.0
