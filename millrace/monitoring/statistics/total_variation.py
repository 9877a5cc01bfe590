"""Half the sum of the differences between two distributions over categories (total variation distance)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from millrace.monitoring.histogram import Counts, shares

if TYPE_CHECKING:
    from numpy.typing import NDArray


def distance(reference: Counts, window: Counts) -> NDArray[np.float64]:
    """The distance (…), 0 to 1. All categories that the reference does not name count as one."""
    return np.asarray(np.abs(shares(reference.bins) - shares(window.bins)).sum(axis=-1) / 2)
