"""The interface of kinds of tensors: their entries as a table, at a distance, in the mean, and damaged.

The serving container imports this package, so numpy is imported inside of functions only. Axes: N rows. The argument
`rows` is always one tensor of a signature (N, …).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from millrace.features.signature import TensorSpec

    Array = npt.NDArray[Any]
    Floats = npt.NDArray[np.float64]
    Distance = Callable[[Array, Array], Floats]


class Entries:
    """One kind of tensor. The defaults are for entries that are not amounts and never missing."""

    table: ClassVar[Literal["numbers", "categories", "tokens"]]
    """What `flat` gives to a simple model of tables: numbers, places of values, or the ids of a text's words."""
    mean_axis: ClassVar[int | None] = None
    """The axis of columns or channels, each of which has a mean; rows are axis 0. None if entries are not amounts."""

    def flat(self, rows: Array) -> Array:
        """The entries as one table (N, C)."""
        return rows.reshape(len(rows), -1)

    def distance(self, sample: Callable[[], Array]) -> Distance:
        """A function that gives how far rows lie from one row, 0 to 1 (N).

        `sample` returns training rows. It is called only if the distance depends on them."""
        raise NotImplementedError

    def reference(self, means: Sequence[float], rows: Array) -> Array:
        """Rows of the same shape with the mean of the column or channel in every entry; only with a `mean_axis`."""
        import numpy as np

        return np.broadcast_to(np.array(means), rows.shape)

    def may_be_missing(self, spec: TensorSpec) -> bool:
        """Whether any entry can be missing in a row that the encoders take."""
        return any(spec.optional)

    def emptied(self, rows: Array, spec: TensorSpec, empty: npt.NDArray[np.bool_]) -> Array:
        """The rows with entries missing wherever `empty` is true and an entry may be missing."""
        return rows

    def noisy(self, rows: Array, deviations: Array | None, noise: float, rng: np.random.Generator) -> Array:
        """The rows with normal noise of `noise` standard deviations; rows that are not amounts stay as they are.

        `deviations` has the standard deviations of floats."""
        return rows
