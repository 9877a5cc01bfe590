"""The tensor of the categories of several features: each entry is the place of a value, 0 if missing or unknown."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from millrace.features.tensors.entries import Entries

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from millrace.features.signature import TensorSpec
    from millrace.features.tensors.entries import Distance

    Array = npt.NDArray[Any]
    Floats = npt.NDArray[np.float64]


class CategoryEntries(Entries):
    """Entries of `categories`: int64 (N, C), a column for each category."""

    table: ClassVar = "categories"

    def distance(self, sample: Callable[[], Array]) -> Distance:
        """A function that gives the share of the entries that differ."""
        return _share_of_others

    def may_be_missing(self, spec: TensorSpec) -> bool:
        """True: 0 is a value that the network has learnt."""
        return True

    def emptied(self, rows: Array, spec: TensorSpec, empty: npt.NDArray[np.bool_]) -> Array:
        """The rows with 0 wherever `empty` is true."""
        import numpy as np

        return np.where(empty, 0, rows).astype(rows.dtype)


def _share_of_others(rows: Array, row: Array) -> Floats:
    import numpy as np

    return np.asarray((rows != row).astype(np.float64).mean(axis=1))
