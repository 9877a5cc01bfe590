"""Counts over a sketch's bins, with as many leading axes as one likes (one per historic window).

Axes: B bins; a leading axis is a stack of windows, so one call compares all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Rows per bin and rows without a value."""

    bins: NDArray[np.float64]
    """[…, B]"""
    missing: NDArray[np.float64]
    """[…]"""
    widths: NDArray[np.float64]
    """[B], in the column's unit; empty for categories."""
    spread: float = 1.0
    """The reference's standard deviation in the column's unit, never 0."""


def shares(bins: NDArray[np.float64]) -> NDArray[np.float64]:
    """[…, B] that sums to 1; zeros where there are no rows."""
    rows = bins.sum(axis=-1, keepdims=True)
    return np.asarray(bins / np.where(rows > 0, rows, 1))


def cumulative(bins: NDArray[np.float64]) -> NDArray[np.float64]:
    """[…, B], the share at or below each bin's upper edge."""
    return np.asarray(np.cumsum(shares(bins), axis=-1))
