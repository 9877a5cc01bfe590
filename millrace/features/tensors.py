"""The kinds of tensors: their entries as a table, at a distance, in the mean, and damaged.

Add a kind: one class and one line in ENTRIES here, and its name in `TensorKind` of the signature. The serving container
imports this module, so numpy is imported inside of functions only. Axes: N rows. The argument `rows` is always one
tensor of a signature (N, …).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from millrace.features.signature import TensorKind, TensorSpec

    Array = npt.NDArray[Any]
    Floats = npt.NDArray[np.float64]
    Distance = Callable[[Array, Array], Floats]

WHITE = 255.0


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
        return self.apart

    def apart(self, rows: Array, row: Array) -> Floats:
        """That distance, for a kind whose distance depends on no training row."""
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


class NumberEntries(Entries):
    """Entries of `numbers`: float32 (N, F), a column for each number, NaN if it is missing."""

    table: ClassVar = "numbers"
    mean_axis: ClassVar[int | None] = 1

    def distance(self, sample: Callable[[], Array]) -> Distance:
        """A function that gives the share of the training rows between two numbers; 1 if one of them is missing."""
        return distance_by_ranks(sample())

    def emptied(self, rows: Array, spec: TensorSpec, empty: npt.NDArray[np.bool_]) -> Array:
        """The rows with NaN wherever `empty` is true and the number is optional, as each of a history is."""
        import numpy as np

        return np.where(empty & np.array(spec.optional or True), np.nan, rows).astype(np.float32)

    def noisy(self, rows: Array, deviations: Array | None, noise: float, rng: np.random.Generator) -> Array:
        """The numbers with noise in standard deviations of their column; a missing number stays missing."""
        import numpy as np

        spread = np.ones(rows.shape[1:]) if deviations is None else deviations
        return (rows + rng.normal(0, 1, rows.shape) * spread * noise).astype(np.float32)


def distance_by_ranks(sample: Array) -> Distance:
    """A function that gives the mean distance over all entries of rows (N, …, F) from one row (…, F), 0 to 1.

    So neither units nor a few extreme rows matter (J. Podani 1999, "Extending Gower's general coefficient of similarity
    to ordinal characters", Taxon 48 (2), 331-340). Each column of the last axis has ranks of its own; a column of a
    history has one ranking over all its steps."""
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


class HistoryEntries(NumberEntries):
    """Entries of a history: float32 (N, T, F). NaN where nothing was known. Each column has one mean over
    all its steps."""

    mean_axis: ClassVar[int | None] = 2

    def may_be_missing(self, spec: TensorSpec) -> bool:
        """True: any step may be missing."""
        return True


class CategoryEntries(Entries):
    """Entries of `categories`: int64 (N, C), each the place of a value, 0 if missing or unknown."""

    table: ClassVar = "categories"

    def apart(self, rows: Array, row: Array) -> Floats:
        """The share of the entries that differ."""
        import numpy as np

        return np.asarray((rows != row).astype(np.float64).mean(axis=1))

    def may_be_missing(self, spec: TensorSpec) -> bool:
        """True: 0 is a value that the network has learnt."""
        return True

    def emptied(self, rows: Array, spec: TensorSpec, empty: npt.NDArray[np.bool_]) -> Array:
        """The rows with 0 wherever `empty` is true."""
        import numpy as np

        return np.where(empty, 0, rows).astype(rows.dtype)


class WordEntries(Entries):
    """Entries of a text: int64 (N, L), the ids of its words or pieces, 0 beyond its end."""

    table: ClassVar = "tokens"

    def apart(self, rows: Array, row: Array) -> Floats:
        """The Jaccard distance: 1 minus (ids that both texts have / ids that either has).

        Two texts without any id are at a distance of 0."""
        import numpy as np

        own = np.unique(row[row > 0])
        # An id that comes twice counts once: in a sorted row, a repeated id equals the one before it. Padding, 0, does
        # not count: it equals the 0 that is prepended.
        sorted_NL = np.sort(rows, axis=1)
        is_first = np.diff(sorted_NL, axis=1, prepend=0) > 0
        common_N = (is_first & np.isin(sorted_NL, own)).sum(axis=1)
        either_N = is_first.sum(axis=1) + len(own) - common_N
        return np.where(either_N > 0, 1 - common_N / np.maximum(either_N, 1), 0.0)


class PixelEntries(Entries):
    """Entries of an image: uint8 (N, C, H, W), 0 to 255."""

    table: ClassVar = "numbers"
    mean_axis: ClassVar[int | None] = 1

    def flat(self, rows: Array) -> Array:
        """The samples as one table (N, C × H × W), scaled to 0 to 1."""
        import numpy as np

        return super().flat(rows).astype(np.float32) / np.float32(WHITE)

    def apart(self, rows: Array, row: Array) -> Floats:
        """The mean difference of the samples, as a share of white."""
        import numpy as np

        # In int16: a difference of uint8 would wrap around.
        apart = np.abs(rows.astype(np.int16) - row) / np.float32(WHITE)
        return np.asarray(apart.reshape(len(rows), -1).mean(axis=1))

    def reference(self, means: Sequence[float], rows: Array) -> Array:
        """Images with the mean of the channel in every pixel, rounded to a whole sample."""
        import numpy as np

        return np.broadcast_to(np.array(means).round()[:, None, None], rows.shape)

    def noisy(self, rows: Array, deviations: Array | None, noise: float, rng: np.random.Generator) -> Array:
        """The images with normal noise of `noise` × 255, rounded to whole samples and kept within 0 to 255."""
        import numpy as np

        return np.clip(np.round(rows + rng.normal(0, noise * WHITE, rows.shape)), 0, WHITE).astype(np.uint8)


ENTRIES: dict[TensorKind, Entries] = {
    "numbers": NumberEntries(),
    "categories": CategoryEntries(),
    "text": WordEntries(),
    "image": PixelEntries(),
    "history": HistoryEntries(),
}
