"""What each statistic does on historic windows of the same length, and how far it must go before it alarms.

Textbook p-values suppose independent rows; on a stream in time order they alarm every week. Here each historic
window is compared with the rest of the history, the statistics are standardised per column by the other windows,
and the bound is set on the largest over all columns, which is what alarms. Axes: K windows, D draws.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from millrace.monitoring.histogram import Counts
from millrace.monitoring.sketch import Sketch
from millrace.monitoring.statistics.catalogue import STATISTICS, calibrated_for

if TYPE_CHECKING:
    from numpy.typing import NDArray

EULER = 0.5772156649015329
DRAWS = 200
"""Independent windows drawn from the baseline: no column may look steadier than independent rows would."""
SKEWED = 2.0
"""Statistics more skewed than this over the historic windows are judged by their logarithm."""


@dataclass(frozen=True)
class Moments:
    """How one statistic of one column behaves on windows without drift."""

    location: float
    scale: float
    logged: bool

    def bound(self, score: float) -> float:
        """The statistic that lies `score` scales above the location."""
        bound = self.location + score * self.scale
        return math.exp(bound) if self.logged else bound


@dataclass(frozen=True, kw_only=True)
class Calibrated:
    """One statistic of one column over the history."""

    moments: Moments
    scores: NDArray[np.float64]
    """[K], each historic window in scales from the location of the others."""


def calibrate(sketch: Sketch, windows: Counts, seed: int = 0) -> dict[str, Calibrated]:
    """Every calibrated statistic of a column, from the counts [K, B] of its historic windows.

    The windows are all rows of the history but incomplete ends; `seed` draws the independent windows."""
    rest = Counts(
        bins=windows.bins.sum(axis=0) - windows.bins,
        missing=windows.missing.sum() - windows.missing,
        widths=windows.widths,
        spread=windows.spread,
    )
    rows = int(np.median(windows.bins.sum(axis=-1) + windows.missing))
    independent = _independent(sketch, rows, np.random.default_rng(seed))
    return {
        name: _calibrated(STATISTICS[name].distance(rest, windows), independent[name], rows)
        for name in calibrated_for(sketch.kind)
    }


def score_bounds(columns: Iterable[Mapping[str, Calibrated]], rate: float) -> dict[str, float]:
    """The score that alarms, per statistic: max(Gumbel quantile, largest historic score), over all columns.

    Half of the declared rate is shared by the statistics; the other half pays for what is estimated."""
    columns = list(columns)
    used = [name for name in STATISTICS if any(name in column for column in columns)]
    return {name: _score_bound([c[name] for c in columns if name in c], rate / (2 * len(used))) for name in used}


def gumbel(values_K: NDArray[np.float64], rate: float) -> float:
    """The value that the next one exceeds with probability `rate`, were they Gumbel distributed (by moments)."""
    return float(values_K.mean() + values_K.std(ddof=1) * _unit_gumbel(rate))


def _score_bound(columns: list[Calibrated], rate: float) -> float:
    # Per historic window the largest score of any column, since any column alarms. The last term is the bound
    # of one column whose scores have mean 0 and deviation 1: a history that happened to be quiet makes no tighter one.
    largest_K = np.max([column.scores for column in columns], axis=0)
    return max(gumbel(largest_K, rate), float(largest_K.max()), _unit_gumbel(rate))


def _calibrated(history_K: NDArray[np.float64], independent_D: NDArray[np.float64], rows: int) -> Calibrated:
    """Location and scale over the windows, neither below that of independent windows of `rows` rows."""
    logged = _skewness(history_K) > SKEWED
    if logged:
        # Zeros have no logarithm: everything below half of what independent rows give counts as that.
        least = max(float(independent_D.mean()) / 2, 1 / rows)
        history_K, independent_D = (np.log(np.maximum(values, least)) for values in (history_K, independent_D))
    # 1 / rows is the smallest share that one row can move: no scale is below it, so a column that never moved does not
    # alarm at its first row.
    low = float(independent_D.mean())
    narrow = max(float(independent_D.std(ddof=1)), 1 / rows)
    location_K, scale_K = _of_others(history_K)
    scores = (history_K - np.maximum(location_K, low)) / np.maximum(scale_K, narrow)
    location, scale = max(float(history_K.mean()), low), max(float(history_K.std(ddof=1)), narrow)
    return Calibrated(moments=Moments(location, scale, logged), scores=scores)


def _of_others(values_K: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation [K] of all values but the k-th."""
    # In closed form: of centred values the others of c_k add up to -c_k, so their mean is -c_k / (K-1), and their
    # squares to the whole sum less c_k². The last factor makes the variance unbiased (ddof=1).
    others = len(values_K) - 1
    centred_K = values_K - values_K.mean()
    mean_K = -centred_K / others
    square_K = ((centred_K**2).sum() - centred_K**2) / others - mean_K**2
    return values_K.mean() + mean_K, np.sqrt(np.maximum(square_K, 0) * others / (others - 1))


def _unit_gumbel(rate: float) -> float:
    """The upper quantile of a Gumbel distribution of mean 0 and standard deviation 1."""
    # The standard Gumbel has the quantile -ln(-ln(1 - rate)), the mean EULER and the standard deviation pi / sqrt(6).
    return (-math.log(-math.log1p(-rate)) - EULER) * math.sqrt(6) / math.pi


def _independent(sketch: Sketch, rows: int, generator: np.random.Generator) -> dict[str, NDArray[np.float64]]:
    """[D] by statistic: windows of independent rows against the baseline itself."""
    reference = sketch.reference(1.0)
    missing_D = generator.binomial(rows, sketch.missing, DRAWS).astype(np.float64)
    share_B = reference.bins / reference.bins.sum()
    bins_DB = generator.multinomial(rows, share_B, DRAWS).astype(np.float64)
    windows = Counts(bins=bins_DB, missing=missing_D, widths=reference.widths, spread=reference.spread)
    return {name: STATISTICS[name].distance(reference, windows) for name in calibrated_for(sketch.kind)}


def _skewness(values_K: NDArray[np.float64]) -> float:
    centred_K = values_K - values_K.mean()
    sd = float(np.sqrt((centred_K**2).mean()))
    return float((centred_K**3).mean() / sd**3) if sd > 1e-12 else 0.0
