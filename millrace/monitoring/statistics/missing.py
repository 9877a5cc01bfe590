"""The change in the share of rows without a value."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from millrace.monitoring.histogram import Counts

HIGHEST_BOUND = 0.5
"""The highest bound on the difference of the shares.

If a column is silent for days now and then, its history allows any share. Since all columns share one score, it allows
that for every other column too. With this bound a column that falls silent for half of the rows alarms all the same."""

if TYPE_CHECKING:
    from numpy.typing import NDArray


def distance(reference: Counts, window: Counts) -> NDArray[np.float64]:
    """The difference of the two shares (…), 0 to 1."""
    return np.asarray(np.abs(_share(reference) - _share(window)))


def _share(counts: Counts) -> NDArray[np.float64]:
    rows = counts.bins.sum(axis=-1) + counts.missing
    return np.asarray(counts.missing / np.where(rows > 0, rows, 1))
