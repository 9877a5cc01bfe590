"""Half the sum of differences between two distributions over categories."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from millrace.monitoring.histogram import Counts, shares

if TYPE_CHECKING:
    from numpy.typing import NDArray


def distance(reference: Counts, window: Counts) -> NDArray[np.float64]:
    """The distance, 0 to 1, per leading axis; categories the reference never named count as one."""
    return np.asarray(np.abs(shares(reference.bins) - shares(window.bins)).sum(axis=-1) / 2)
