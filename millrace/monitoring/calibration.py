"""Measures what each statistic does on historic windows of the same length, and sets the bounds above which it alarms.

Textbook p-values suppose independent rows. On a stream in time order they alarm every week. Instead:

1. Each historic window is compared with the other windows, which gives a number per statistic and column.
2. That number becomes a score: how many scales it lies above the location of the other windows of its column.
3. The bound is set on the largest score over all columns, since any column alarms.

Few windows do not show how windows vary. Then parts of windows stand for them: there are more of these, and fewer
rows lie further from the rest, so the bounds are wider. Parts also say how bounds grow for a window with few rows.

Axes: K windows, S slices of a window, P parts, B bins, D draws.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from millrace.monitoring.sketch import Sketch
from millrace.monitoring.statistics import STATISTICS, Counts, calibrated_for, statistics_for

EULER = 0.5772156649015329
"""Euler's constant, the mean of the standard Gumbel distribution."""
DRAWS = 200
"""Windows of independent rows that are drawn from the baseline. No column may look steadier than such rows would."""
SLICES = 16
"""Each historic window is cut into so many slices, of equally many rows in the order of time."""
RUNS = (8, 4, 2, 1)
"""The slices of a part, for windows with less than the usual rows: half a window, a quarter, …"""
PROMISED_WINDOWS = 40
"""With so many historic windows, the declared false alarm rate was found to hold."""
ENOUGH_WINDOWS = 30
"""With fewer historic windows, parts of them stand for windows: at least so many, if slices suffice."""
SKEWED = 2.0
"""A statistic with a larger skewness over the historic windows is judged by its logarithm."""


@dataclass(frozen=True)
class Moments:
    """How one statistic of one column behaves on windows without drift."""

    location: float
    scale: float
    logged: bool
    """Whether location and scale are those of the statistic's natural logarithm."""

    def bound(self, score: float) -> float:
        """The value of the statistic that lies `score` scales above the location."""
        bound = self.location + score * self.scale
        return math.exp(bound) if self.logged else bound


@dataclass(frozen=True, kw_only=True)
class Calibrated:
    """One statistic of one column over the history."""

    moments: Moments
    scores: NDArray[np.float64]
    """(K): how many scales each historic window lies above the location of the other windows."""


def run_of(windows: int, rows: int, *, fewest: int) -> int:
    """The slices of the parts that stand for windows of `rows` rows; SLICES are whole windows, if there are enough.

    A part has `fewest` rows at least, but where a window has fewer."""
    fitting = [run for run in (SLICES, *RUNS) if run == SLICES or rows * run // SLICES >= fewest]
    return next((run for run in fitting if windows * SLICES >= run * ENOUGH_WINDOWS), fitting[-1])


def runs_of_few(run: int) -> tuple[int, ...]:
    """The RUNS for windows with few rows, where the bounds of others rest on parts of `run` slices."""
    return tuple(one for one in RUNS if one <= run)


def calibrate(sketch: Sketch, slices: Counts, run: int, seed: int = 0) -> dict[str, Calibrated]:
    """Each calibrated statistic of a column, by name, from the counts (K, S, B) of the slices of its historic windows.

    The windows hold all rows of the history but those of incomplete windows. Parts of `run` slices stand for windows.
    `seed` draws the independent windows."""
    parts = parts_of(slices, run, step=run)
    rows = int(np.median(parts.bins.sum(axis=-1) + parts.missing))
    independent = _independent(sketch, rows, np.random.default_rng(seed))
    rest = _others(slices, parts)
    return {
        name: _calibrated(STATISTICS[name].distance(rest, parts), independent[name], rows)
        for name in calibrated_for(sketch.kind)
    }


def parts_of(slices: Counts, run: int, step: int) -> Counts:
    """The counts (P, B) of the parts of `run` slices; the next part of a window begins `step` slices later."""
    starts = np.arange(0, SLICES - run + 1, step)
    return replace(
        slices,
        bins=np.concatenate([slices.bins[:, at : at + run].sum(axis=1) for at in starts]),
        missing=np.concatenate([slices.missing[:, at : at + run].sum(axis=1) for at in starts]),
    )


def _others(slices: Counts, parts: Counts) -> Counts:
    """What each part is compared with (P, B): all rows of the history but those of its own window."""
    bins_KB, missing_K = slices.bins.sum(axis=1), slices.missing.sum(axis=1)
    times = len(parts.bins) // len(bins_KB)
    return replace(
        slices,
        bins=np.tile(bins_KB.sum(axis=0) - bins_KB, (times, 1)),
        missing=np.tile(missing_K.sum() - missing_K, times),
    )


def apart(sketch: Sketch, slices: Counts, run: int) -> dict[str, NDArray[np.float64]]:
    """Each statistic of a column on every part of `run` slices (P), wherever in a window it begins."""
    parts = parts_of(slices, run, step=1)
    rest = _others(slices, parts)
    return {name: STATISTICS[name].distance(rest, parts) for name in statistics_for(sketch.kind)}


def factor_of(ratios_P: NDArray[np.float64], rate: float, *, least: float) -> float:
    """The factor that a further part of windows exceeds with the probability `rate` at most, and is not below `least`.

    `ratios_P` are the largest statistics of each part, divided by the bounds of usual windows."""
    return max(least, float(ratios_P.max()), gumbel(ratios_P, rate / 2))


def score_bounds(columns: Iterable[Mapping[str, Calibrated]], rate: float) -> dict[str, float]:
    """The score above which each statistic alarms, for all columns together.

    It is the Gumbel quantile of the largest historic scores, or the largest score of the history if that is higher. The
    statistics share half of the declared `rate`. The other half pays for what is only estimated."""
    columns = list(columns)
    used = [name for name in STATISTICS if any(name in column for column in columns)]
    return {name: _score_bound([c[name] for c in columns if name in c], rate / (2 * len(used))) for name in used}


def gumbel(values_K: NDArray[np.float64], rate: float) -> float:
    """The value that a further one exceeds with the probability `rate`, if they have a Gumbel distribution.

    The distribution is fitted by its moments."""
    return float(values_K.mean() + values_K.std(ddof=1) * _unit_gumbel(rate))


def _score_bound(columns: list[Calibrated], rate: float) -> float:
    # Of each historic window the largest score of any column counts, since any column alarms. The last term is the
    # bound of one column whose scores have mean 0 and deviation 1: a history that happened to be quiet sets none below.
    largest_K = np.max([column.scores for column in columns], axis=0)
    return max(gumbel(largest_K, rate), float(largest_K.max()), _unit_gumbel(rate))


def _calibrated(history_K: NDArray[np.float64], independent_D: NDArray[np.float64], rows: int) -> Calibrated:
    """One statistic of one column, from its values on historic windows and on windows of independent rows.

    Location and scale are not below those of the independent windows, which have `rows` rows each."""
    logged = _skewness(history_K) > SKEWED
    if logged:
        # Zeros have no logarithm. All values below half of what independent rows give are raised to that half.
        least = max(float(independent_D.mean()) / 2, 1 / rows)
        history_K, independent_D = (np.log(np.maximum(values, least)) for values in (history_K, independent_D))
    # 1 / rows is the share that one row moves. No scale is below it, so a column that never moved does not alarm at the
    # first row that differs.
    low = float(independent_D.mean())
    narrow = max(float(independent_D.std(ddof=1)), 1 / rows)
    location_K, scale_K = _of_others(history_K)
    scores = (history_K - np.maximum(location_K, low)) / np.maximum(scale_K, narrow)
    location, scale = max(float(history_K.mean()), low), max(float(history_K.std(ddof=1)), narrow)
    return Calibrated(moments=Moments(location, scale, logged), scores=scores)


def _of_others(values_K: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """For each k the mean and the standard deviation (K) of all values but the k-th."""
    # In closed form. Centred values add up to 0, so all of them but c_k add up to -c_k and have the mean -c_k / (K-1).
    # Their squares add up to the whole sum less c_k². The last factor makes the variance unbiased (ddof=1).
    others = len(values_K) - 1
    centred_K = values_K - values_K.mean()
    mean_K = -centred_K / others
    square_K = ((centred_K**2).sum() - centred_K**2) / others - mean_K**2
    return values_K.mean() + mean_K, np.sqrt(np.maximum(square_K, 0) * others / (others - 1))


def _unit_gumbel(rate: float) -> float:
    """The value that a Gumbel variable of mean 0 and standard deviation 1 exceeds with the probability `rate`."""
    # The standard Gumbel has the quantile -ln(-ln(1 - rate)), the mean EULER and the standard deviation pi / sqrt(6).
    return (-math.log(-math.log1p(-rate)) - EULER) * math.sqrt(6) / math.pi


def _independent(sketch: Sketch, rows: int, generator: np.random.Generator) -> dict[str, NDArray[np.float64]]:
    """Each calibrated statistic (D) on windows of `rows` rows that are drawn from the baseline itself."""
    reference = sketch.reference(1.0)
    missing_D = generator.binomial(rows, sketch.missing, DRAWS).astype(np.float64)
    share_B = reference.bins / reference.bins.sum()
    bins_DB = generator.multinomial(rows, share_B, DRAWS).astype(np.float64)
    windows = Counts(bins=bins_DB, missing=missing_D, widths=reference.widths, spread=reference.spread)
    return {name: STATISTICS[name].distance(reference, windows) for name in calibrated_for(sketch.kind)}


def _skewness(values_K: NDArray[np.float64]) -> float:
    """The third standardised moment; 0 if the values do not vary."""
    centred_K = values_K - values_K.mean()
    sd = float(np.sqrt((centred_K**2).mean()))
    return float((centred_K**3).mean() / sd**3) if sd > 1e-12 else 0.0
