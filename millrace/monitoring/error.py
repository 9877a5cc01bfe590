"""The bound on the error of decisions whose labels have come: a few windows in a row, each above it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from millrace.monitoring.calibration import gumbel

if TYPE_CHECKING:
    from numpy.typing import NDArray

DRAWS = 2000
FEWEST = 40
"""Historic stretches below which no bound is set: on fewer, measured, false alarms are the rule."""


SIZES = tuple(dict.fromkeys(round(10 * 2 ** (step / 4)) for step in range(29)))
"""Rows of the windows for which `drawn_bound` sets a bound: 10 to 1,280, each a fifth more than the one before."""
RESAMPLED = 1000
"""Test rows that are drawn again, at most, to see how uncertain their mean error is."""


@dataclass(frozen=True)
class BoundByRows:
    """The bound for windows of `rows` rows or more."""

    rows: int
    bound: float


@dataclass(frozen=True)
class ErrorBound:
    """What `windows` successive windows must all exceed before the error alarms."""

    bound: float
    """In the unit of the task's error: a share of answers, or an amount in the label's unit."""
    windows: int
    by_rows: tuple[BoundByRows, ...] = ()
    """For rows in no order of time, in ascending order of `rows`: the mean error of few rows strays further than that
    of many. Empty where the history has windows of its own."""

    def of(self, rows: int) -> float | None:
        """The bound for windows of at least `rows` rows; None for fewer than any bound was set for."""
        if not self.by_rows:
            return self.bound
        return next((each.bound for each in reversed(self.by_rows) if each.rows <= rows), None)


def error_bound(series: Sequence[Sequence[float]], *, windows: int, rate: float) -> ErrorBound | None:
    """The bound from out-of-sample errors; None where they are too few to promise anything, and where no stretch
    has an error in each of its windows: then the first error would alarm.

    Each series holds successive windows of one model that was fitted before them and then left alone, as a
    champion is. (Errors of a model that is refitted every month, or of the few held-out weeks, are too good to
    compare with: measured, both alarm on the first months in service.) What is judged is the smallest of `windows`
    successive errors, so the Gumbel quantile is taken of that, autocorrelation included."""
    lowest = lowest_of_all(series, windows)
    if len(lowest) < FEWEST:
        return None
    lowest_K = np.asarray(lowest)
    # The quantile of a few dozen values is an extrapolation: it is never below what was already seen without drift.
    bound = max(gumbel(lowest_K, rate), float(lowest_K.max()))
    return ErrorBound(bound=bound, windows=windows) if bound > 0 else None


def drawn_bound(errors_T: NDArray[np.float64], *, rows: int, windows: int, rate: float) -> ErrorBound | None:
    """The bound for rows in no order of time: by windows of `rows` rows, and for windows of other SIZES beside it.

    No later window of such rows exists, and each row may stand for any other. None where fewer than `rate` of the drawn
    stretches have an error in each of their windows: then the first errors would alarm."""

    def bound(size: int) -> float:
        lowest_D = _drawn(errors_T, rows=size, windows=windows).min(axis=1)
        return float(np.quantile(lowest_D, 1 - rate, method="higher"))

    usual = bound(rows)
    by_rows = (BoundByRows(rows=size, bound=bound(size)) for size in SIZES)
    found = tuple(each for each in by_rows if each.bound > 0)
    return ErrorBound(bound=usual, windows=windows, by_rows=found) if usual > 0 else None


def _drawn(errors_T: NDArray[np.float64], *, rows: int, windows: int) -> NDArray[np.float64]:
    """The mean errors (D, K) of DRAWS stretches of `windows` windows of `rows` rows, drawn with repetition.

    What T test rows say of later rows is uncertain, and the windows of a stretch share that: each stretch is drawn at a
    level of its own, the mean of so many test rows drawn again over their mean. A window without an error stays one."""
    random, count = np.random.default_rng(0), len(errors_T)
    resampled = min(count, RESAMPLED)
    again_D = errors_T[random.integers(0, count, (DRAWS, resampled), np.int32)].mean(axis=1)
    mean = errors_T.mean() or 1.0
    # The mean of T rows varies less than that of the fewer that are drawn, by the root of their numbers' ratio.
    level_D = 1 + (again_D / mean - 1) * np.sqrt(resampled / count)
    windows_DK = errors_T[random.integers(0, count, (DRAWS, windows, max(rows, 1)), np.int32)].mean(axis=2)
    found: NDArray[np.float64] = windows_DK * level_D.clip(0)[:, None]
    return found


def lowest_of_all(series: Sequence[Sequence[float]], windows: int) -> list[float]:
    """The smallest error of each stretch of `windows` successive windows within one of the series."""
    return [lowest for errors in series for lowest in lowest_of(errors, windows)]


def lowest_of(errors: Sequence[float], windows: int) -> list[float]:
    """The smallest of each `windows` successive errors; empty when there are fewer."""
    return [min(errors[end - windows : end]) for end in range(windows, len(errors) + 1)]
