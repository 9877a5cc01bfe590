"""The drift statistics, and the counts of rows in the bins of a sketch that they compare.

Each statistic compares the counts of a reference and of a window in the same bins. Its number grows with the change.
Add one by a function and a line in `STATISTICS`.

Axes: B bins. "…" stands for any leading axes: none for one window, K for a stack of windows, all compared in one call.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

ValueKind = Literal["numeric", "categorical"]
UNSEEN = 0.1
"""The fixed bound on the share of unseen rows. History cannot say how often something comes that it never had.

So this is a gross check, for another unit, a broken join or a sentinel value. On two real streams, windows without a
change stay below it."""
MISSING = 0.5
"""The highest bound on the difference of the shares of rows without a value.

If a column is silent for days now and then, its history allows any share. Since all columns share one score, it allows
that for every other column too. With this bound a column that falls silent for half of the rows alarms all the same."""


@dataclass(frozen=True, kw_only=True)
class Counts:
    """The rows in each bin, and the rows without a value."""

    bins: Floats
    """(…, B)"""
    missing: Floats
    """(…)"""
    widths: Floats
    """The width of each bin (B), in the column's unit; empty for categories."""
    spread: float = 1.0
    """The standard deviation of the reference, in the column's unit; never 0."""

    @property
    def shares(self) -> Floats:
        """The share of rows in each bin (…, B). They sum to 1, or are all 0 if there are no rows."""
        rows = self.bins.sum(axis=-1, keepdims=True)
        return np.asarray(self.bins / np.where(rows > 0, rows, 1))

    @property
    def cumulative(self) -> Floats:
        """The share of rows at or below the upper edge of each bin (…, B)."""
        return np.asarray(np.cumsum(self.shares, axis=-1))

    @property
    def share_missing(self) -> Floats:
        """The share of rows without a value (…)."""
        rows = self.bins.sum(axis=-1) + self.missing
        return np.asarray(self.missing / np.where(rows > 0, rows, 1))


def kolmogorov_smirnov(reference: Counts, window: Counts) -> Floats:
    """The largest difference between two cumulative distributions (Kolmogorov 1933, Smirnov 1939).

    0 to 1 (…), measured at the edges of the bins: so it is never above the exact one."""
    return np.asarray(np.abs(reference.cumulative - window.cumulative).max(axis=-1))


def wasserstein(reference: Counts, window: Counts) -> Floats:
    """The area between two cumulative distributions (first Wasserstein distance), in standard deviations.

    Both distributions are taken as linear inside a bin (…)."""
    right = reference.cumulative - window.cumulative
    # The left end of a bin is the right end of the bin before. At the left end of the first bin nothing is counted yet.
    left = np.concatenate([np.zeros_like(right[..., :1]), right[..., :-1]], axis=-1)
    # Over a bin the difference is a line, whose absolute value makes a trapezium. A line that crosses zero makes two
    # triangles. Their heights are l and r, and their widths share the bin as l : r. Together they have the area
    # (l² + r²) / (2 (l + r)).
    total = np.abs(left) + np.abs(right)
    crossing = left * right < 0
    triangles = (left**2 + right**2) / (2 * np.where(crossing, total, 1.0))
    area = np.where(crossing, triangles, total / 2)
    return np.asarray((area * reference.widths).sum(axis=-1) / reference.spread)


def total_variation(reference: Counts, window: Counts) -> Floats:
    """Half the sum of the differences between two distributions over categories (total variation distance).

    0 to 1 (…). All categories that the reference does not name count as one."""
    return np.asarray(np.abs(reference.shares - window.shares).sum(axis=-1) / 2)


def unseen(reference: Counts, window: Counts) -> Floats:
    """The share of rows in bins where the reference has none.

    0 to 1 (…). Such rows have new categories, or values between the known ones or far outside them."""
    return np.asarray(np.where(reference.bins > 0, 0.0, window.shares).sum(axis=-1))


def missing(reference: Counts, window: Counts) -> Floats:
    """The change in the share of rows without a value."""
    return np.asarray(np.abs(reference.share_missing - window.share_missing))


@dataclass(frozen=True, kw_only=True)
class Statistic:
    """One way to measure a change, and the kinds of column that it is for."""

    distance: Callable[[Counts, Counts], Floats]
    """The number for a reference and a window, one for each window of a stack (…)."""
    kinds: tuple[ValueKind, ...]
    fixed_bound: float | None = None
    """The bound of a statistic that history cannot calibrate; None if history calibrates it."""
    highest_bound: float = math.inf
    """The highest bound that calibration may set."""


STATISTICS: dict[str, Statistic] = {
    "kolmogorov_smirnov": Statistic(distance=kolmogorov_smirnov, kinds=("numeric",)),
    "wasserstein": Statistic(distance=wasserstein, kinds=("numeric",)),
    "total_variation": Statistic(distance=total_variation, kinds=("categorical",)),
    "unseen": Statistic(distance=unseen, kinds=("numeric", "categorical"), fixed_bound=UNSEEN),
    "missing": Statistic(distance=missing, kinds=("numeric", "categorical"), highest_bound=MISSING),
}


def statistics_for(kind: ValueKind) -> tuple[str, ...]:
    """The names of the statistics for a kind of column, in the order of the catalogue."""
    return tuple(name for name, statistic in STATISTICS.items() if kind in statistic.kinds)


def calibrated_for(kind: ValueKind) -> tuple[str, ...]:
    """The names of the statistics for a kind of column whose bounds are calibrated on the history."""
    return tuple(name for name in statistics_for(kind) if STATISTICS[name].fixed_bound is None)
