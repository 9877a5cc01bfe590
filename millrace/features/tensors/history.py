"""The tensor of one history: steps of several columns, NaN where nothing was known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from millrace.features.tensors.numbers import NumberEntries

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from millrace.features.signature import TensorSpec

    Array = npt.NDArray[Any]


class HistoryEntries(NumberEntries):
    """Entries of a history: float32 (N, T, F). Each column has one mean over all its steps."""

    mean_axis: ClassVar[int | None] = 2

    def may_be_missing(self, spec: TensorSpec) -> bool:
        """True: any step may be missing."""
        return True

    def emptied(self, rows: Array, spec: TensorSpec, empty: npt.NDArray[np.bool_]) -> Array:
        """The rows with NaN wherever `empty` is true."""
        import numpy as np

        return np.where(empty, np.nan, rows).astype(np.float32)
