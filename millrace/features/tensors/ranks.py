"""The distance of numbers by their ranks among the training rows, so that neither units nor a few extreme rows matter.

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
    """A function that gives the mean distance over all entries of rows (N, …, F) from one row (…, F), 0 to 1.

    Each column of the last axis has ranks of its own; a column of a history has one ranking over all its steps."""
    import numpy as np

    columns = [_Ranks(column) for column in np.moveaxis(sample, -1, 0)]

    def distance(rows: Array, row: Array) -> Floats:
        # Column by column, then the mean over all entries of a row.
        cells = [ranks.apart(rows[..., at], row[..., at]) for at, ranks in enumerate(columns)]
        return np.asarray(np.stack(cells, axis=-1).reshape(len(rows), -1).mean(axis=1))

    return distance


class _Ranks:
    """The ranks of numbers among the values that one column has in the training rows."""

    def __init__(self, sample: Array) -> None:
        """Take the ranks from a sample: the share of the sample below a value, plus half of the share equal to it."""
        import numpy as np

        known = sample[~np.isnan(sample)]
        self._values, counts = np.unique(known, return_counts=True)
        self._ranks = (np.cumsum(counts) - counts / 2) / max(len(known), 1)

    def apart(self, rows: Array, row: Array) -> Floats:
        """The share of the training rows between each number and the number of `row`.

        It is 1 if one of the two is missing, and 0 if both are."""
        import numpy as np

        one_is_missing = np.isnan(rows) != np.isnan(row)
        shares = np.abs(self._rank(rows) - self._rank(row))
        return np.where(one_is_missing, 1.0, np.where(np.isnan(rows), 0.0, shares))

    def _rank(self, values: Array) -> Floats:
        """The rank of each value: interpolated between the values of the sample, 0 below all of them, 1 above all.

        Interpolation makes a value that is not in the sample differ from its neighbours."""
        import numpy as np

        if not len(self._values):
            return np.zeros(np.shape(values))
        return np.interp(values, self._values, self._ranks, left=0.0, right=1.0)
