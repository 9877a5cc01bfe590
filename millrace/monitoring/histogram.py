"""The counts of rows in the bins of a sketch.

Axes: B bins. "…" stands for any leading axes: none for one window, K for a stack of windows, all compared in one call.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Counts:
    """The rows in each bin, and the rows without a value."""

    bins: NDArray[np.float64]
    """(…, B)"""
    missing: NDArray[np.float64]
    """(…)"""
    widths: NDArray[np.float64]
    """The width of each bin (B), in the column's unit; empty for categories."""
    spread: float = 1.0
    """The standard deviation of the reference, in the column's unit; never 0."""


def shares(bins: NDArray[np.float64]) -> NDArray[np.float64]:
    """The share of rows in each bin (…, B). They sum to 1, or are all 0 if there are no rows."""
    rows = bins.sum(axis=-1, keepdims=True)
    return np.asarray(bins / np.where(rows > 0, rows, 1))


def cumulative(bins: NDArray[np.float64]) -> NDArray[np.float64]:
    """The share of rows at or below the upper edge of each bin (…, B)."""
    return np.asarray(np.cumsum(shares(bins), axis=-1))
