"""The tensor of the numbers of several features: one entry for each, NaN if it is missing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from millrace.features.tensors.entries import Entries
from millrace.features.tensors.ranks import distance_by_ranks

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from millrace.features.signature import TensorSpec
    from millrace.features.tensors.entries import Distance

    Array = npt.NDArray[Any]


class NumberEntries(Entries):
    """Entries of `numbers`: float32 (N, F), a column for each number. A history has its columns last, too."""

    table: ClassVar = "numbers"
    mean_axis: ClassVar[int | None] = 1

    def distance(self, sample: Callable[[], Array]) -> Distance:
        """A function that gives the share of the training rows between two numbers; 1 if one of them is missing."""
        return distance_by_ranks(sample())

    def emptied(self, rows: Array, spec: TensorSpec, empty: npt.NDArray[np.bool_]) -> Array:
        """The rows with NaN wherever `empty` is true and the number is optional."""
        import numpy as np

        if not any(spec.optional):
            return rows
        return np.where(empty & np.array(spec.optional), np.nan, rows).astype(np.float32)

    def noisy(self, rows: Array, deviations: Array | None, noise: float, rng: np.random.Generator) -> Array:
        """The numbers with noise in standard deviations of their column; a missing number stays missing."""
        import numpy as np

        spread = np.ones(rows.shape[1:]) if deviations is None else deviations
        return (rows + rng.normal(0, 1, rows.shape) * spread * noise).astype(np.float32)
