"""The largest difference between two cumulative distributions (Kolmogorov 1933, Smirnov 1939)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from millrace.monitoring.histogram import Counts, cumulative

if TYPE_CHECKING:
    from numpy.typing import NDArray


def distance(reference: Counts, window: Counts) -> NDArray[np.float64]:
    """The distance (…), 0 to 1. It is measured at the edges of the bins, so it is never above the exact one."""
    difference = np.abs(cumulative(reference.bins) - cumulative(window.bins))
    return np.asarray(difference.max(axis=-1))
