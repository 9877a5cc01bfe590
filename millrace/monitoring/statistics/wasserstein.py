"""The area between two cumulative distributions (first Wasserstein distance), in standard deviations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from millrace.monitoring.histogram import Counts, cumulative

if TYPE_CHECKING:
    from numpy.typing import NDArray


def distance(reference: Counts, window: Counts) -> NDArray[np.float64]:
    """The area, in standard deviations, per leading axis; both distributions are linear inside a bin."""
    difference = cumulative(reference.bins) - cumulative(window.bins)
    # A bin's left end is where the bin before it ended; before the first one nothing has been counted.
    left = np.concatenate([np.zeros_like(difference[..., :1]), difference[..., :-1]], axis=-1)
    return np.asarray((_area(left, difference) * reference.widths).sum(axis=-1) / reference.spread)


def _area(left: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean of |line from left to right| over a bin: a trapezium, or two triangles where the sign changes."""
    # Where the line crosses zero it makes two triangles of the heights l and r, whose widths share the bin as l : r.
    # Together they have the area (l² + r²) / (2 (l + r)).
    total = np.abs(left) + np.abs(right)
    crossing = left * right < 0
    triangles = (left**2 + right**2) / (2 * np.where(crossing, total, 1.0))
    return np.where(crossing, triangles, total / 2)
