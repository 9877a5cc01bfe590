"""The bound on the error of decisions with labels: the alarm is raised if some windows in a row are all above it.

Axes: T test rows, D drawn stretches of windows, W windows of a stretch, K stretches of the history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from millrace.monitoring.calibration import gumbel
from millrace.monitoring.live_error import LiveError

DRAWS = 2000
"""Stretches of windows that `drawn_bound` draws."""
BLURRED = 200
"""So often the history is drawn with the uncertainty of a window whose labels have not all come."""
FEWEST = 40
"""With fewer historic stretches no bound is set: it was measured that false alarms are the rule then."""


SIZES = tuple(dict.fromkeys(round(10 * 2 ** (step / 4)) for step in range(29)))
"""The numbers of rows of a window for which `drawn_bound` sets a bound: 10, 12, 14, 17, 20, … 1,280."""
FEW = (5, 6, 7, 8)
"""Sizes below SIZES that a window of a few days may have: ten labels of many rows tell as much as nine that are all."""
ROUNDING = 1e-9
"""A mean of equal errors may differ from them by its rounding, and must not alarm."""
RESAMPLED = 1000
"""At most so many test rows are drawn again, to see how uncertain their mean error is."""


@dataclass(frozen=True)
class BoundByRows:
    """The bound for windows of `rows` rows or more."""

    rows: int
    bound: float


@dataclass(frozen=True)
class ErrorBound:
    """The error that `windows` successive windows must all exceed before the alarm is raised."""

    bound: float
    """In the unit of the task's error: a share of answers, or an amount in the label's unit."""
    windows: int
    rate: float = 0.01
    """The declared probability of a false alarm."""
    by_rows: tuple[BoundByRows, ...] = ()
    """If the bound rests on the test rows, the bounds by the size of the window, in ascending order of `rows`. The mean
    error of few rows strays further than that of many. Empty if it rests on windows of the history."""

    stretches: tuple[tuple[float, ...], ...] = ()
    """The errors of the windows of each stretch of the history; empty if the bound rests on the test rows."""

    def of(self, rows: int) -> float | None:
        """The bound for windows of at least `rows` rows; None if there are too few rows for every bound."""
        # The bound of the largest size that the rows reach.
        if not self.by_rows:
            return self.bound
        return next((each.bound for each in reversed(self.by_rows) if each.rows <= rows), None)

    def of_row(self, row: Sequence[LiveError]) -> float | None:
        """The bound for these windows in a row; None if one has too few labels for every bound.

        What missing labels leave open makes a window stray further. So the history is judged with as much added:
        the bound for 70 labels a week is that of weeks with 70 labels."""
        if not self.stretches:
            return self.of(min(one.rows for one in row))
        if not any(one.deviation for one in row) or len(row) < self.windows:
            return self.bound
        errors_KW, random = np.asarray(self.stretches), np.random.default_rng(0)
        blur_DKW = random.standard_normal((BLURRED, *errors_KW.shape)) * [one.deviation for one in row]
        lowest_DK = (errors_KW + blur_DKW).min(axis=2)
        return float(np.mean([_above(lowest_K, self.rate) for lowest_K in lowest_DK]))


def error_bound(series: Sequence[Sequence[float]], *, windows: int, rate: float) -> ErrorBound | None:
    """The bound from errors on rows that the models had not seen; None if there are fewer than FEWEST stretches.

    It is also None if no stretch has an error in each of its windows: then the first error would alarm.

    Each series has the errors of successive windows of one model. The model was fitted before them and then left alone,
    as a champion is. Errors of a model that is refitted every month, or of the few held-out weeks, are too good to
    compare with: it was measured that both alarm in the first months of service.

    The alarm judges the smallest of `windows` successive errors. So the Gumbel quantile is taken of these smallest
    errors, and autocorrelation is in it."""
    stretches = stretches_of(series, windows)
    if len(stretches) < FEWEST:
        return None
    bound = _above(np.asarray([min(each) for each in stretches]), rate)
    if bound <= 0:
        return None
    return ErrorBound(bound=bound, windows=windows, rate=rate, stretches=stretches)


def _above(lowest_K: NDArray[np.float64], rate: float) -> float:
    # The quantile of a few dozen values is an extrapolation: it is never below what was already seen without drift.
    return max(gumbel(lowest_K, rate), float(lowest_K.max()))


def stretches_of(series: Sequence[Sequence[float]], windows: int) -> tuple[tuple[float, ...], ...]:
    """Each `windows` successive errors within one of the series; none of a series with fewer errors.

    For example [3, 1, 2, 4] with two windows gives (3, 1), (1, 2), (2, 4)."""
    return tuple(tuple(errors[end - windows : end]) for errors in series for end in range(windows, len(errors) + 1))


def drawn_bound(errors_T: NDArray[np.float64], *, rows: int, windows: int, rate: float) -> ErrorBound | None:
    """The bound for rows in no order of time, for windows of `rows` rows and of all SIZES.

    Such rows have no later windows, and each row may stand for any other. So stretches of windows are drawn from the
    errors of the test rows. Returns None if fewer than `rate` of the stretches have an error in each of their windows:
    then the first errors would alarm."""

    def bound(size: int) -> float:
        lowest_D = _drawn(errors_T, rows=size, windows=windows).min(axis=1)
        return float(np.quantile(lowest_D, 1 - rate, method="higher")) * (1 + ROUNDING)

    usual = bound(min(rows, SIZES[-1]))
    by_rows = (BoundByRows(rows=size, bound=bound(size)) for size in SIZES)
    found = tuple(each for each in by_rows if each.bound > 0)
    return ErrorBound(bound=usual, windows=windows, rate=rate, by_rows=found) if usual > 0 else None


def bound_of_days(
    errors_T: NDArray[np.float64], day_T: NDArray[np.int64], *, days: int, rate: float, is_share: bool
) -> ErrorBound | None:
    """The bound for windows of `days` days, where `error_bound` sets none; None if the test rows are of one day.

    It judges each window by itself: the error is above it if the window's interval lies above that of the test error.
    Windows are drawn from the test rows. Rows of a day are alike, so a window has rows of `days` of the test days, and
    it is as uncertain what the test days say of later ones as the mean of so many days is (Student's t)."""
    if is_share:
        # A model without a wrong test answer may have one in as many rows again (the rule of succession).
        errors_T, day_T = np.append(errors_T, 1.0), np.append(day_T, day_T[-1:])
    _, day_T, rows_B = np.unique(day_T, return_inverse=True, return_counts=True)
    many = len(rows_B)
    if many < 2 or not errors_T.any():
        return None
    rng = np.random.default_rng(0)
    again_DB = rng.integers(0, many, (DRAWS, many))
    again_D = np.bincount(day_T, errors_T)[again_DB].sum(axis=1) / rows_B[again_DB].sum(axis=1)
    wider_D = np.sqrt(many / rng.chisquare(many - 1, DRAWS))
    level_D = np.exp((again_D / errors_T.mean() - 1) * wider_D)
    of_days_T, first_B = errors_T[np.argsort(day_T, kind="stable")], np.cumsum(rows_B) - rows_B

    own_Dd, most = rng.integers(0, many, (DRAWS, days)), SIZES[-1]
    own_DR = np.take_along_axis(own_Dd, rng.integers(0, days, (DRAWS, most)), axis=1)
    rows_DR = first_B[own_DR] + (rng.random((DRAWS, most)) * rows_B[own_DR]).astype(np.int64)
    # The first rows of the largest window are a smaller one.
    sum_DR = of_days_T[rows_DR].cumsum(axis=1)
    by_rows = tuple(
        BoundByRows(
            rows=size,
            bound=float(np.quantile(sum_DR[:, size - 1] / size * level_D, 1 - rate, method="higher")) * (1 + ROUNDING),
        )
        for size in (*FEW, *SIZES)
    )
    usual = ErrorBound(bound=by_rows[0].bound, windows=1, rate=rate, by_rows=by_rows)
    return replace(usual, bound=usual.of(len(errors_T) * days // many) or usual.bound)


def _drawn(errors_T: NDArray[np.float64], *, rows: int, windows: int) -> NDArray[np.float64]:
    """The mean errors (D, W) of drawn stretches of `windows` windows with `rows` rows each, drawn with repetition.

    It is uncertain what T test rows say of later rows, and all windows of a stretch share this uncertainty. So each
    stretch is drawn at a level of its own: the mean error of test rows that are drawn again, divided by the mean of
    all. The level multiplies the errors, so a window without an error stays one."""
    random, count = np.random.default_rng(0), len(errors_T)
    resampled = min(count, RESAMPLED)
    again_D = errors_T[random.integers(0, count, (DRAWS, resampled), np.int32)].mean(axis=1)
    mean = errors_T.mean() or 1.0
    # The mean of T rows varies less than that of the fewer that are drawn, by the root of their numbers' ratio.
    level_D = 1 + (again_D / mean - 1) * np.sqrt(resampled / count)
    windows_DW = errors_T[random.integers(0, count, (DRAWS, windows, max(rows, 1)), np.int32)].mean(axis=2)
    found: NDArray[np.float64] = windows_DW * level_D.clip(0)[:, None]
    return found
