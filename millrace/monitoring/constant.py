"""The exact rule for a column that had one value only: histograms are blind there, counting is not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from millrace.monitoring.sketch import plain

Value = str | float | int | None


@dataclass(frozen=True)
class Constant:
    """The one value that `rows` rows had (None: they had no value at all)."""

    value: Value
    rows: int
    kind: Literal["constant"] = "constant"

    def differing(self, column: pa.ChunkedArray) -> int:
        """The rows that have another value; missing ones are not counted."""
        present = _present(column)
        if self.value is None:
            return len(present)
        return int(pc.sum(pc.not_equal(present, pa.scalar(self.value, present.type))).as_py() or 0)


def constant(column: pa.ChunkedArray) -> Constant | None:
    """What the column constantly was; None where it had two values or more, or sometimes none."""
    present = _present(column)
    distinct = pc.unique(present)
    if len(distinct) > 1 or len(present) not in (0, len(column)):
        return None
    return Constant(value=distinct[0].as_py() if len(distinct) else None, rows=len(column))


def _present(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The values that are neither null nor NaN; booleans as text, as everywhere in the sketches."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    present = plain(column).drop_null()
    return present.filter(pc.invert(pc.is_nan(present))) if pa.types.is_floating(present.type) else present


def allowed(*, history: int, window: int, rate: float) -> int:
    """The most differing rows in a window of `window` rows that `history` equal rows still allow.

    Laplace's rule of succession: with a uniform prior on the share of differing rows their number in the next
    window is beta-binomial, and m or more occur with probability prod_{j<m} (window-j)/(history+window+1-j).
    The answer is the smallest m such that more than m have at most the probability `rate`."""
    # The product is taken factor by factor: after `count` factors it is the probability of `count` rows or more.
    probability, count = 1.0, 0
    while count <= window:
        probability *= (window - count) / (history + window + 1 - count)
        if probability <= rate:
            return count
        count += 1
    return window
