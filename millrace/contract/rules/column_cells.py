"""The cells of one column of a batch, and the figures of them that several rules need, each computed at most once."""

from __future__ import annotations

import math
import operator
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


class ColumnCells:
    """The cells of a column. `cells` is an Arrow array; of a dictionary-encoded column it is the dictionary."""

    def __init__(self, cells: Any) -> None:
        self.cells = cells

    @cached_property
    def finite_extremes(self) -> tuple[float, float] | None:
        """The lowest and the highest cell of a column of float64, without nulls; None if a cell is not finite.

        Also None for a column of another type or in several chunks. numpy needs a tenth of Arrow's time for it. Unlike
        Arrow, it answers NaN if one cell is NaN, so one pass is enough for the rules Finite and Range."""
        whole = self.cells
        if isinstance(whole, pa.ChunkedArray):
            if whole.num_chunks != 1:
                return None
            whole = whole.chunk(0)
        if not pa.types.is_float64(whole.type):
            return None
        numbers = whole.to_numpy(zero_copy_only=False)
        # In numpy a null is NaN too: more NaN than nulls means that a cell is NaN.
        if whole.null_count and np.count_nonzero(np.isnan(numbers)) > whole.null_count:
            return None
        lowest, highest = (np.fmin, np.fmax) if whole.null_count else (np.minimum, np.maximum)
        low, high = float(lowest.reduce(numbers)), float(highest.reduce(numbers))
        return (low, high) if math.isfinite(low) and math.isfinite(high) else None

    @cached_property
    def extremes(self) -> tuple[Any, Any]:
        """The lowest and the highest cell, without nulls and NaN, as Arrow scalars."""
        low, high = operator.itemgetter("min", "max")(pc.min_max(self.cells))
        return low, high

    @cached_property
    def lengths(self) -> Any:
        """The length of each cell: of a text in characters, of a binary cell in bytes."""
        return pc.utf8_length(self.cells) if pa.types.is_string(self.cells.type) else pc.binary_length(self.cells)
