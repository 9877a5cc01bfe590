"""The share of rows where the reference has none: new categories, values between or far outside the known ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from millrace.monitoring.histogram import Counts, shares

BOUND = 0.1
"""Share of rows. History cannot say how often something comes that it never had, so this is a gross check (another
unit, a broken join, a sentinel value): on two real streams windows without a change stay below it."""

if TYPE_CHECKING:
    from numpy.typing import NDArray


def distance(reference: Counts, window: Counts) -> NDArray[np.float64]:
    """The share, 0 to 1, per leading axis."""
    return np.asarray(np.where(reference.bins > 0, 0.0, shares(window.bins)).sum(axis=-1))
