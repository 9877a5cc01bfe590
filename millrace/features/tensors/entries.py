"""What every kind of tensor says of its entries: as a table, in a distance, in the mean, damaged.

The serving container imports this package: numpy inside functions only. N rows; rows are tensors of a signature (N, …).
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
    """One kind of tensor. What it does not say itself holds for entries that are no amounts and never missing."""

    table: ClassVar[Literal["numbers", "categories", "tokens"]]
    """What `flat` gives to a model of tables: numbers, places of values, or the places of a text's words."""
    mean_axis: ClassVar[int | None] = None
    """The axis of the columns or channels whose entries have a mean, rows being 0; None where they are no amounts."""

    def flat(self, rows: Array) -> Array:
        """As one table (N, C)."""
        return rows.reshape(len(rows), -1)

    def distance(self, sample: Callable[[], Array]) -> Distance:
        """How far rows lie from one row, 0 to 1 (N), among the training rows that `sample` gives if they matter."""
        raise NotImplementedError

    def reference(self, means: Sequence[float], rows: Array) -> Array:
        """The mean of each column or channel in place of every entry; asked where there is a `mean_axis`."""
        import numpy as np

        return np.broadcast_to(np.array(means), rows.shape)

    def may_be_missing(self, spec: TensorSpec) -> bool:
        """Whether an entry can be missing and the row still be taken."""
        return any(spec.optional)

    def emptied(self, rows: Array, spec: TensorSpec, empty: npt.NDArray[np.bool_]) -> Array:
        """The rows, with nothing where it is asked for and may be."""
        return rows

    def noisy(self, rows: Array, deviations: Array | None, noise: float, rng: np.random.Generator) -> Array:
        """The rows with normal noise of `noise` deviations, which `deviations` has for floats; else as they are."""
        return rows
