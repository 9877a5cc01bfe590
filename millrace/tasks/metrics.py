"""Figures of classes and of their probabilities.

Axes: N rows, G groups of rows with the same probability. p is the probability of class 1, y the label, 0 or 1."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.floating]
    Bools = npt.NDArray[np.bool_]

BINS = 10
"""Bins of confidence, of equal width."""


@dataclass(frozen=True, kw_only=True)
class ReliabilityBin:
    """The answers with about the same confidence."""

    confidence: float
    """The mean confidence of the answers, 0 to 1."""
    accuracy: float
    """The share of the answers that are right."""
    rows: int


@dataclass(frozen=True, kw_only=True)
class WindowError:
    """The mean of the task's error over the answers in one window of event time."""

    start: str
    """ISO time, inclusive; `end` is exclusive."""
    end: str
    rows: int
    error: float


@dataclass(frozen=True, kw_only=True)
class FrozenErrors:
    """The error of a model that was not retrained, in the windows after its training; a champion would fare alike."""

    weeks: tuple[WindowError, ...]
    """Successive windows: the model has seen no row from the start of the first one on."""


def log_loss(p_N: Floats, y_N: Floats) -> float:
    """The mean of −log of the probability of the label, in nats. Probabilities are kept 1e-7 away from 0 and 1."""
    import numpy as np

    p = np.clip(p_N.astype(np.float64), 1e-7, 1 - 1e-7)
    return float(-np.mean(np.where(y_N > 0, np.log(p), np.log1p(-p))))


def auc(p_N: Floats, y_N: Floats) -> float | None:
    """The area under the ROC curve: how often a row of class 1 has a higher p than a row of class 0; a tie counts half.

    None if one of the classes is missing."""
    import numpy as np

    positive = y_N > 0
    n1, n0 = int(positive.sum()), int((~positive).sum())
    if not n1 or not n0:
        return None
    # By ranks (Mann and Whitney): equal values share the mean of their ranks, which counts a tie as one half. The rank
    # sum of class 1 less its smallest possible value is the number of pairs in the right order.
    _, group_N, count_G = np.unique(p_N, return_inverse=True, return_counts=True)
    rank_G = np.cumsum(count_G) - (count_G - 1) / 2
    return float((rank_G[group_N][positive].sum() - n1 * (n1 + 1) / 2) / (n1 * n0))


def confidence(p_N: Floats) -> Floats:
    """The probability of the likelier one of two classes (N)."""
    import numpy as np

    return np.maximum(p_N, 1 - p_N)


def reliability(confidence_N: Floats, right_N: Bools, *, lowest: float) -> tuple[ReliabilityBin, ...]:
    """Confidence and accuracy in ten bins of equal width from `lowest` to 1.

    Empty bins and rows without a finite confidence are left out. `lowest` is the least possible confidence: 0.5 for two
    classes, else 0."""
    import numpy as np

    finite_N = np.isfinite(confidence_N)
    confidence_N, right_N = confidence_N[finite_N].astype(np.float64), right_N[finite_N]
    bin_N = np.clip(((confidence_N - lowest) / (1 - lowest) * BINS).astype(int), 0, BINS - 1)
    return tuple(
        ReliabilityBin(
            confidence=float(confidence_N[rows].mean()), accuracy=float(right_N[rows].mean()), rows=int(rows.sum())
        )
        for rows in (bin_N == number for number in range(BINS))
        if rows.any()
    )


def ece(bins: tuple[ReliabilityBin, ...], *, rows: int) -> float:
    """The expected calibration error: the mean distance of confidence and accuracy over all rows (Guo et al. 2017, 3).

    NaN if not all of the `rows` rows are in the bins, since some then have no finite confidence."""
    if sum(one.rows for one in bins) != rows:
        return math.nan
    return sum(abs(one.confidence - one.accuracy) * one.rows for one in bins) / rows
