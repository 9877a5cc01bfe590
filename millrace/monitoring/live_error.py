"""The error of a window of which only some rows have a label, with its interval; and whose labels to ask people for.

Labels are asked for where the model is unsure, and each row keeps the chance with which it was chosen. The estimate is
prediction-powered (Zrnic and Candès 2024, arXiv 2403.03208; PPI++, arXiv 2311.01453): what the model itself expects of
all rows, plus how wrong that was on the labelled ones, each weighted by 1 / chance:

    error = λ · mean(expected)  +  Σ w · (error - λ · expected) / Σ w

Chosen rows stand for the others by design, whatever the model is worth. Labels that came without being asked for stand
for rows of the same confidence, which is supposed.

Axes: N rows of a window, B stretches of it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

CONFIDENCE = 0.95
"""The probability with which an interval holds the error."""
FEWEST = 10
"""With fewer labels no error is estimated, unless these are the labels of all rows."""
EVEN = 0.1
"""The part of the chances that is the same for each row: a model that is sure and wrong is found, too."""
PRIOR = 2.0
"""So many labels the spread counts that the model itself expects: ten labels without an error prove no model right."""
STRETCHES = 7
"""A window is cut into as many stretches of time to see whether labels contradict: neighbours are alike."""


@dataclass(frozen=True, kw_only=True)
class LiveError:
    """The mean error of a window's rows, by the labels that are known."""

    error: float
    low: float
    high: float
    """The interval; low = error = high if every row has a label."""
    deviation: float
    """The standard error, of what the missing labels leave open; 0 if none is missing."""
    rows: int
    """As many labels, drawn evenly from many rows, would tell as much."""


def choose(
    expected_N: Floats, many: int, generator: np.random.Generator, *, is_share: bool = True
) -> tuple[Floats, NDArray[np.bool_]]:
    """For each row the chance of being chosen (N), and whether it is (N): `many` rows in all, if there are so many.

    `expected_N` is the error that is expected of each row, 0 to 1 if it `is_share`; all 0 if none is."""
    # Most is learnt from rows whose error is most uncertain: the chance goes by the deviation of a coin with it, and of
    # an amount by the amount.
    count = len(expected_N)
    spread_N = np.sqrt(np.clip(expected_N * (1 - expected_N), 0, None)) if is_share else expected_N
    share_N = (1 - EVEN) * spread_N / spread_N.sum() + EVEN / count if spread_N.any() else np.full(count, 1 / count)
    chance_N = np.zeros(count)
    left, free_N = float(min(many, count)), np.full(count, True)
    # A chance ends at 1: what is above goes to the others.
    while left > 0 and free_N.any():
        wanted_N = left * share_N / share_N[free_N].sum()
        if not (full_N := free_N & (wanted_N >= 1)).any():
            chance_N[free_N] = wanted_N[free_N]
            break
        chance_N[full_N], free_N = 1.0, free_N & ~full_N
        left -= int(full_N.sum())
    # Systematic sampling (Madow 1949): one step of length 1 after the other through the rows in order of what is
    # expected, from a random start. The number is fixed, each chance exact, and each part of that order has its share.
    order_N = np.lexsort((generator.random(count), expected_N))
    passed_N = np.floor(np.cumsum(chance_N[order_N]) + generator.random() + 1e-9)
    chosen_N = np.zeros(count, bool)
    chosen_N[order_N] = np.diff(passed_N, prepend=0.0) > 0
    return chance_N, chosen_N


def live_error(
    error_N: Floats,
    expected_N: Floats,
    chance_N: Floats | None,
    stretch_N: NDArray[np.int64],
    *,
    is_share: bool,
) -> LiveError | None:
    """The mean of all errors; None if fewer than FEWEST rows have a label, and others have none.

    `error_N` is NaN for a row without a label. `chance_N` are the chances with which rows were chosen, 0 for a row that
    was not; None if no labels were asked for. `stretch_N` is as in `contradict`. An error that `is_share` lies between
    0 and 1."""
    known_N, rows = ~np.isnan(error_N), len(error_N)
    counted_N = known_N if chance_N is None or known_N.all() else known_N & (chance_N > 0)
    if known_N.all() and rows:
        mean = float(error_N.mean())
        return LiveError(error=mean, low=mean, high=mean, deviation=0.0, rows=rows)
    if (labels := int(counted_N.sum())) < FEWEST:
        return None
    own_n, expected_n = error_N[counted_N], expected_N[counted_N]
    chance_n = np.full(labels, labels / rows) if chance_N is None else chance_N[counted_N]
    weight_n = 1 / chance_n
    weight_n /= weight_n.sum()
    # Few heavy labels tell no more than as many equal ones would (Kish 1965).
    freedom = max(1 / float(weight_n @ weight_n) - 1, 1.0)
    # λ: as much of what the model expects as explains the errors that came, never more than all of it.
    apart_n = expected_n - weight_n @ expected_n
    power = float(weight_n @ (apart_n * own_n)) / max(float(weight_n @ apart_n**2), 1e-12)
    power = min(max(power, 0.0), 1.0)
    left_n = own_n - power * expected_n
    error = power * float(expected_N.mean()) + float(weight_n @ left_n)
    # Of the rows that were chosen people may have answered only a part: each stands for that many more.
    answered = 1.0 if chance_N is None else labels / int((chance_N > 0).sum())
    open_n = weight_n**2 * (1 - chance_n * answered)
    around_n = left_n - float(weight_n @ left_n)
    spread = float(open_n @ around_n**2) * labels / (labels - 1)
    if is_share and (expected_n.any() or not around_n.any()):
        # What the model itself says of how uncertain these errors were. Errors that are all alike, of a model that says
        # nothing, are those of a coin.
        coin_n = expected_n * (1 - expected_n) if expected_n.any() else np.full(labels, 0.25)
        spread = (labels * spread + PRIOR * float(open_n @ coin_n)) / (labels + PRIOR)
    if missing := _missing(stretch_N, counted_N, chance_N):
        # Whole stretches may be missing, whose rows are alike: a label then tells no more than its stretch does.
        if (between := _between(stretch_N[counted_N], weight_n * around_n)) is None:
            return None
        more, stretches = max(between[0] - spread, 0.0) * missing, between[1]
        # Satterthwaite 1946: the freedom of a sum of two variances.
        total = spread + more
        freedom = total**2 / (spread**2 / freedom + more**2 / (stretches - 1)) if total else freedom
        spread = total
    own_variance = float(weight_n @ (own_n - weight_n @ own_n) ** 2)
    reach = student(freedom) * math.sqrt(spread)
    least, most = (error - reach, error + reach)
    if is_share:
        # The labels that are known leave no more open than the others can be.
        sure = float(error_N[known_N].sum()) / rows
        highest = sure + 1 - int(known_N.sum()) / rows
        error = min(max(error, sure), highest)
        # Errors that the labels happened to miss make the variance small, and no label tells more than one toss, apart
        # from what the model's expectation explains of them. The variance is believed as far as errors have come, and
        # rows that were drawn evenly, among which are those that the model is sure of.
        explained = 1 - float(weight_n @ around_n**2) / own_variance if own_variance else 0.0
        believed = max(min(EVEN * labels, float(own_n.sum())) / FEWEST, 1.0)
        tosses = believed / max(float(open_n.sum()) * (1 - max(explained, 0.0)), 1e-12)
        least, most = _of_share(error, spread, freedom, most_tosses=tosses)
        least, most = max(least, sure), min(most, highest)
    alone = own_variance / (spread + own_variance / rows) if own_variance else float(labels)
    return LiveError(error=error, low=least, high=most, deviation=math.sqrt(spread), rows=max(round(alone), 1))


def _missing(stretch_N: NDArray[np.int64], counted_N: NDArray[np.bool_], chance_N: Floats | None) -> float:
    """The share of the window that labels do not stand for.

    Labels that came by themselves stand for their rows alone; those that were asked for stand for their stretch, if
    people have answered some of it."""
    if chance_N is None:
        return 1 - int(counted_N.sum()) / len(counted_N)
    return 1 - len(np.unique(stretch_N[counted_N])) / len(np.unique(stretch_N[chance_N > 0]))


def _between(stretch_n: NDArray[np.int64], part_n: Floats) -> tuple[float, int] | None:
    """The variance of the sum of these parts, if those of one stretch may be alike, and the number of stretches.

    None if all are of one stretch."""
    stretches, place_n = np.unique(stretch_n, return_inverse=True)
    if (count := len(stretches)) < 2:
        return None
    sum_B = np.bincount(place_n, part_n)
    return float(sum_B @ sum_B) * count / (count - 1), count


def _of_share(share: float, variance: float, freedom: float, *, most_tosses: float) -> tuple[float, float]:
    """The interval of a share that was estimated with this variance, which itself was estimated with `freedom`.

    Exact for a coin, with as many tosses as have this variance (Clopper and Pearson 1934; Korn and Graubard 1998)."""
    from scipy.special import betaincinv, ndtri

    inside = min(max(share, 0.5 / (freedom + 1)), 1 - 0.5 / (freedom + 1))
    tail = (1 - CONFIDENCE) / 2
    tosses = inside * (1 - inside) / max(variance, 1e-12) * (float(ndtri(1 - tail)) / student(freedom)) ** 2
    tosses = min(tosses, most_tosses)
    heads = share * tosses
    low = float(betaincinv(heads, tosses - heads + 1, tail)) if heads > 0 else 0.0
    high = float(betaincinv(heads + 1, tosses - heads, 1 - tail)) if heads < tosses else 1.0
    return low, high


def recalibrate(
    expected_N: Floats, *, errors_M: Floats, before_M: Floats, weights_M: Floats, most: float = 1.0
) -> Floats:
    """What to expect of the rows (N) after M other rows have shown their errors: the line through these, 0 to `most`.

    `before_M` is what was expected of them."""
    total = weights_M.sum()
    if total <= 0:
        return expected_N
    weights_M = weights_M / total
    apart_M, mean = before_M - weights_M @ before_M, float(weights_M @ errors_M)
    slope = float(weights_M @ (apart_M * errors_M)) / max(float(weights_M @ apart_M**2), 1e-12)
    slope = min(max(slope, 0.0), 1.0)
    return np.clip(mean + slope * (expected_N - float(weights_M @ before_M)), 0.0, most)


def student(freedom: float) -> float:
    """How many deviations the interval reaches to either side."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, (1 + CONFIDENCE) / 2))


def beyond(
    error_N: Floats,
    expected_N: Floats,
    chance_N: Floats | None,
    stretch_N: NDArray[np.int64],
    *,
    between: float = 0.0,
    least: float = 0.0,
) -> float | None:
    """How far the errors are above what is expected of them ÷ how far chance takes them; below 0 if they are less.

    The labels contradict the expectation where it is beyond 1 or -1.

    `between` is the variance with which the mean error of a window lies beside it anyway, `least` that which the mean
    has at least. None with fewer than FEWEST labels, or with labels of one stretch alone.

    `stretch_N` numbers the stretch of time of each row: rows of one may be alike. It is the row's own number if rows
    are in no order of time."""
    counted_N = ~np.isnan(error_N) if chance_N is None else ~np.isnan(error_N) & (chance_N > 0)
    if (labels := int(counted_N.sum())) < FEWEST:
        return None
    weight_n = np.ones(labels) if chance_N is None else 1 / chance_N[counted_N]
    weight_n /= weight_n.sum()
    apart_n = error_N[counted_N] - expected_N[counted_N]
    mean = float(weight_n @ apart_n)
    if (spread := _between(stretch_N[counted_N], weight_n * (apart_n - mean))) is None:
        return None
    variance, stretches = spread
    return mean / max(student(stretches - 1) * math.sqrt(max(variance, least) + between), 1e-12)
