"""The area between two cumulative distributions (first Wasserstein distance), in standard deviations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from millrace.monitoring.histogram import Counts, cumulative

if TYPE_CHECKING:
    from numpy.typing import NDArray


def distance(reference: Counts, window: Counts) -> NDArray[np.float64]:
    """The area (…), in standard deviations of the reference. Both distributions are taken as linear inside a bin."""
    difference = cumulative(reference.bins) - cumulative(window.bins)
    # The left end of a bin is the right end of the bin before. At the left end of the first bin nothing is counted yet.
    left = np.concatenate([np.zeros_like(difference[..., :1]), difference[..., :-1]], axis=-1)
    return np.asarray((_area(left, difference) * reference.widths).sum(axis=-1) / reference.spread)


def _area(left: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean over a bin of the absolute value of a line from `left` to `right`.

    The line makes a trapezium, or two triangles if its sign changes."""
    # A line that crosses zero makes two triangles. Their heights are l and r, and their widths share the bin as l : r.
    # Together they have the area (l² + r²) / (2 (l + r)).
    total = np.abs(left) + np.abs(right)
    crossing = left * right < 0
    triangles = (left**2 + right**2) / (2 * np.where(crossing, total, 1.0))
    return np.where(crossing, triangles, total / 2)
