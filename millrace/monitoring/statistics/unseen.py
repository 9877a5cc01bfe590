"""The share of rows in bins where the reference has none.

Such rows have new categories, or values between the known ones or far outside them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from millrace.monitoring.histogram import Counts, shares

BOUND = 0.1
"""The fixed bound on the share of rows. History cannot say how often something comes that it never had.

So this is a gross check, for another unit, a broken join or a sentinel value. On two real streams, windows without a
change stay below it."""

if TYPE_CHECKING:
    from numpy.typing import NDArray


def distance(reference: Counts, window: Counts) -> NDArray[np.float64]:
    """The share of rows (…), 0 to 1."""
    return np.asarray(np.where(reference.bins > 0, 0.0, shares(window.bins)).sum(axis=-1))
