"""The catalogue of drift statistics. Add one by a file in `statistics` and a line here.

Each statistic compares the counts of a reference and of a window in the same bins. Its number grows with the change.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from millrace.monitoring.histogram import Counts
from millrace.monitoring.statistics import kolmogorov_smirnov, missing, total_variation, unseen, wasserstein

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ValueKind = Literal["numeric", "categorical"]


@dataclass(frozen=True, kw_only=True)
class Statistic:
    """One way to measure a change, and the kinds of column that it is for."""

    distance: Callable[[Counts, Counts], NDArray[np.float64]]
    """The number for a reference and a window, one for each window of a stack (…)."""
    kinds: tuple[ValueKind, ...]
    fixed_bound: float | None = None
    """The bound of a statistic that history cannot calibrate; None if history calibrates it."""
    highest_bound: float = math.inf
    """The highest bound that calibration may set."""


STATISTICS: dict[str, Statistic] = {
    "kolmogorov_smirnov": Statistic(distance=kolmogorov_smirnov.distance, kinds=("numeric",)),
    "wasserstein": Statistic(distance=wasserstein.distance, kinds=("numeric",)),
    "total_variation": Statistic(distance=total_variation.distance, kinds=("categorical",)),
    "unseen": Statistic(distance=unseen.distance, kinds=("numeric", "categorical"), fixed_bound=unseen.BOUND),
    "missing": Statistic(
        distance=missing.distance, kinds=("numeric", "categorical"), highest_bound=missing.HIGHEST_BOUND
    ),
}


def statistics_for(kind: ValueKind) -> tuple[str, ...]:
    """The names of the statistics for a kind of column, in the order of the catalogue."""
    return tuple(name for name, statistic in STATISTICS.items() if kind in statistic.kinds)


def calibrated_for(kind: ValueKind) -> tuple[str, ...]:
    """The names of the statistics for a kind of column whose bounds are calibrated on the history."""
    return tuple(name for name in statistics_for(kind) if STATISTICS[name].fixed_bound is None)
