"""How far numbers lie apart by their ranks, so that neither their unit nor a few extreme rows matter.

J. Podani 1999, "Extending Gower's general coefficient of similarity to ordinal characters", Taxon 48 (2), 331-340."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from millrace.features.tensors.entries import Distance

    Array = npt.NDArray[Any]
    Floats = npt.NDArray[np.float64]


def distance_by_ranks(sample: Array) -> Distance:
    """The mean over all entries; the last axis are columns, each with ranks of its own over all steps of a history."""
    import numpy as np

    columns = [_Ranks(column) for column in np.moveaxis(sample, -1, 0)]

    def distance(rows: Array, row: Array) -> Floats:
        cells = [ranks.apart(rows[..., at], row[..., at]) for at, ranks in enumerate(columns)]
        return np.asarray(np.stack(cells, axis=-1).reshape(len(rows), -1).mean(axis=1))

    return distance


class _Ranks:
    """Where numbers lie among those of the training rows."""

    def __init__(self, sample: Array) -> None:
        """Each value's rank is the share of the sample below it, and half of the share that equals it."""
        import numpy as np

        known = sample[~np.isnan(sample)]
        self._values, counts = np.unique(known, return_counts=True)
        self._ranks = (np.cumsum(counts) - counts / 2) / max(len(known), 1)

    def apart(self, rows: Array, row: Array) -> Floats:
        """The share of the training rows between the two; 1 where one of the two is missing, 0 where both are."""
        import numpy as np

        one_is_missing = np.isnan(rows) != np.isnan(row)
        shares = np.abs(self._rank(rows) - self._rank(row))
        return np.where(one_is_missing, 1.0, np.where(np.isnan(rows), 0.0, shares))

    def _rank(self, values: Array) -> Floats:
        """In a straight line between the values of the sample, so that others differ from them too; 0 or 1 beyond."""
        import numpy as np

        if not len(self._values):
            return np.zeros(np.shape(values))
        return np.interp(values, self._values, self._ranks, left=0.0, right=1.0)
