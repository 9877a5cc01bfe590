"""The exact rule for a column that had only one value: a histogram shows nothing there, but rows can be counted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from millrace.monitoring.sketch import plain

Value = str | float | int | None


@dataclass(frozen=True)
class Constant:
    """The one value that all rows of the history had."""

    value: Value
    """None if the rows had no value at all."""
    rows: int
    """The rows of the history."""
    kind: Literal["constant"] = "constant"

    def differing(self, column: pa.ChunkedArray) -> int:
        """The number of rows with another value. Missing values are not counted."""
        present = _present(column)
        if self.value is None:
            return len(present)
        return int(pc.sum(pc.not_equal(present, pa.scalar(self.value, present.type))).as_py() or 0)


def constant(column: pa.ChunkedArray) -> Constant | None:
    """The one value of the column; None if it has two values or more, or if only some rows have one."""
    present = _present(column)
    distinct = pc.unique(present)
    if len(distinct) > 1 or len(present) not in (0, len(column)):
        return None
    return Constant(value=distinct[0].as_py() if len(distinct) else None, rows=len(column))


def _present(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The values that are neither null nor NaN. Booleans become text, as in the sketches."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    present = plain(column).drop_null()
    return present.filter(pc.invert(pc.is_nan(present))) if pa.types.is_floating(present.type) else present


def allowed(*, history: int, window: int, rate: float) -> int:
    """The most differing rows that are still allowed in a window of `window` rows, after `history` equal rows.

    This is Laplace's rule of succession. With a uniform prior on the share of differing rows, their number in the next
    window is beta-binomial: m or more occur with the probability prod_{j<m} (window-j)/(history+window+1-j). The answer
    is the smallest m such that more than m have the probability `rate` at most."""
    # The product grows factor by factor: in the turn of `count` it becomes the probability of more than `count` rows.
    probability, count = 1.0, 0
    while count <= window:
        probability *= (window - count) / (history + window + 1 - count)
        if probability <= rate:
            return count
        count += 1
    return window
