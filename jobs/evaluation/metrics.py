"""Figures of a binary model. N rows, p the probability of class 1, y the label, 0 or 1."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.floating]
    Bools = npt.NDArray[np.bool_]

BINS = 10


@dataclass(frozen=True, kw_only=True)
class Bin:
    """The rows whose confidence lies in one tenth of 0.5 to 1."""

    confidence: float
    """Their mean confidence."""
    accuracy: float
    rows: int


def is_right(p_N: Floats, y_N: Floats, threshold: float) -> Bools:
    """Whether each answer is right."""
    right_N: Bools = (p_N >= threshold) == (y_N > 0)
    return right_N


def log_loss(p_N: Floats, y_N: Floats) -> float:
    """The mean of -log of the probability of what came, in nats; probabilities are kept 1e-7 from 0 and 1."""
    p = np.clip(p_N.astype(np.float64), 1e-7, 1 - 1e-7)
    return float(-np.mean(np.where(y_N > 0, np.log(p), np.log1p(-p))))


def auc(p_N: Floats, y_N: Floats) -> float | None:
    """The area under the ROC curve: how often a row of class 1 is above one of class 0, ties half.

    None where one of the classes is missing."""
    positive = y_N > 0
    n1, n0 = int(positive.sum()), int((~positive).sum())
    if not n1 or not n0:
        return None
    _, group_N, count_G = np.unique(p_N, return_inverse=True, return_counts=True)
    rank_G = np.cumsum(count_G) - (count_G - 1) / 2
    return float((rank_G[group_N][positive].sum() - n1 * (n1 + 1) / 2) / (n1 * n0))


def reliability(p_N: Floats, right_N: Bools) -> tuple[Bin, ...]:
    """Confidence against accuracy in ten bins of equal width; empty bins are left out, and rows without a number."""
    finite_N = np.isfinite(p_N)
    p_N, right_N = p_N[finite_N], right_N[finite_N]
    confidence_N = np.maximum(p_N, 1 - p_N).astype(np.float64)
    bin_N = np.clip(((confidence_N - 0.5) * 2 * BINS).astype(int), 0, BINS - 1)
    return tuple(
        Bin(confidence=float(confidence_N[rows].mean()), accuracy=float(right_N[rows].mean()), rows=int(rows.sum()))
        for rows in (bin_N == number for number in range(BINS))
        if rows.any()
    )


def ece(bins: tuple[Bin, ...], *, rows: int) -> float:
    """The expected calibration error: mean distance of confidence and accuracy over rows (Guo et al. 2017, 3).

    NaN where not all of the `rows` rows are in the bins."""
    if sum(one.rows for one in bins) != rows:
        return math.nan
    return sum(abs(one.confidence - one.accuracy) * one.rows for one in bins) / rows
