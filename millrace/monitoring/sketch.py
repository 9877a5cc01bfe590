"""A sketch: the distribution of one column of the baseline in at most 2 kB, and how to count new rows in its bins.

Each number falls into a cell of a fine grid, by a multiplication and a cast. The cells are joined to some 200 bins with
equally many rows. So a million rows need no sort and no search. A single cell with many rows keeps a bin of its own.

Axes: N rows, C cells, B bins, K windows.

A column that had only one value has an exact rule instead: a histogram shows nothing there, but rows can be counted.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from millrace.errors import ConfigurationError
from millrace.monitoring.statistics import Counts, ValueKind

CELLS = 65_536
"""The cells of a grid. The number of a cell fits into 16 bits."""
BINS = 200
"""About how many bins a sketch of numbers has."""
PART = 1 << 16
"""Rows that are counted at a time, so that every intermediate stays in the processor's cache."""
SCALE = 65_535
"""Cumulative shares are kept in 16 bits, as multiples of 1 / SCALE: an error of at most 8e-6 each."""
REACH = 100
"""The grid reaches at most so many times the width of the middle 99.9 % of the rows beyond them."""
CATEGORY_BYTES = 1_200
"""Bytes for the names of categories. Rarer categories are counted together."""


@dataclass(frozen=True)
class NumericSketch:
    """Bins over a grid of CELLS cells from `low` to `high`. Values outside count in the outermost cells."""

    low: float
    high: float
    inner: tuple[float, float]
    """The ends of the middle 99.9 % of the rows. Areas are measured there, so that a few huge values raise no bound."""
    edges: str
    """Base64 of little-endian uint16 (B-1): the first cell of each bin but the first."""
    cumulative: str
    """Base64 of little-endian uint16 (B): the share of rows up to the end of each bin, times SCALE."""
    sd: float
    """The standard deviation. It is never 0: if the finite values are all alike, it is their size, at least 1."""
    missing: float
    """The share of rows without a finite value, 0 to 1."""
    kind: Literal["numeric"] = "numeric"

    @cached_property
    def first_cells(self) -> NDArray[np.int64]:
        """The first cell of each bin (B)."""
        return np.concatenate([[0], _unpack(self.edges)]).astype(np.int64)

    def reference(self, rows: float) -> Counts:
        """The baseline as counts of `rows` rows."""
        present = rows * (1 - self.missing)
        bins_B = np.diff(_unpack(self.cumulative).astype(np.float64), prepend=0.0) / SCALE * present
        return self._counts(bins_B, np.asarray(rows * self.missing))

    def count(self, column: pa.ChunkedArray) -> Counts:
        """The rows of a column in these bins. Null and NaN are missing, infinity falls into an outermost bin."""
        # First cells, then bins: a cell takes one multiplication and a cast, a search for the bin would take eight
        # comparisons a row. `reduceat` adds up the cells from the first of each bin to the first of the next.
        cells_C, present = np.zeros(CELLS, dtype=np.int64), 0
        for chunk in column.chunks:
            values_N = _numbers(chunk)
            for start in range(0, len(values_N), PART):
                part = self._cells(values_N[start : start + PART])
                present += len(part)
                cells_C += np.bincount(part, minlength=CELLS)
        bins_B = np.add.reduceat(cells_C, self.first_cells).astype(np.float64)
        return self._counts(bins_B, np.asarray(float(len(column) - present)))

    def count_windows(self, column: pa.ChunkedArray, window_N: NDArray[np.int64], windows: int) -> Counts:
        """The rows of each window in these bins (K, B). `window_N` has the number of each row's window, 0 to K-1."""
        # One table (K, B) in one pass: window and bin together are one number.
        values_N = pc.cast(column.combine_chunks(), pa.float64()).to_numpy(zero_copy_only=False)
        seen_N = ~np.isnan(values_N)
        bin_N = np.searchsorted(self.first_cells, self._cells(values_N[seen_N]), side="right") - 1
        bins = len(self.first_cells)
        flat = np.bincount(window_N[seen_N] * bins + bin_N, minlength=windows * bins)
        missing_K = np.bincount(window_N[~seen_N], minlength=windows).astype(np.float64)
        return self._counts(flat.reshape(windows, bins).astype(np.float64), missing_K)

    def _cells(self, values_N: NDArray[np.float64]) -> NDArray[np.intp]:
        """The cell of each value that is not NaN, 0 to CELLS - 1."""
        position_N = np.clip(values_N, self.low, self.high)
        position_N -= self.low
        # The factor is a hair less than CELLS, so that `high` itself falls into the last cell. The sum shows whether
        # there is any NaN, in one pass without a mask: most columns have none.
        position_N *= CELLS * (1 - 1e-12) / (self.high - self.low)
        if np.isnan(position_N.sum()):
            position_N = position_N[~np.isnan(position_N)]
        return position_N.astype(np.intp)

    def _counts(self, bins: NDArray[np.float64], missing: NDArray[np.float64]) -> Counts:
        # Only what lies within the middle 99.9 % of the rows counts as width of a bin.
        ends = self.low + np.append(self.first_cells, CELLS) * ((self.high - self.low) / CELLS)
        widths_B = np.diff(np.clip(ends, *self.inner))
        return Counts(bins=bins, missing=missing, widths=widths_B, spread=self.sd)


@dataclass(frozen=True)
class CategoricalSketch:
    """One bin for each frequent value, and a last one for all other values."""

    values: tuple[str, ...]
    shares: tuple[float, ...]
    """The share of each value among the rows with a value, then the share of all others: one more than `values`."""
    missing: float
    """The share of rows without a value, 0 to 1."""
    kind: Literal["categorical"] = "categorical"

    def reference(self, rows: float) -> Counts:
        """The baseline as counts of `rows` rows."""
        bins_B = np.asarray(self.shares) * rows * (1 - self.missing)
        return Counts(bins=bins_B, missing=np.asarray(rows * self.missing), widths=np.empty(0))

    def count(self, column: pa.ChunkedArray) -> Counts:
        """The rows of a column in these bins."""
        whole = self.count_windows(column, np.zeros(len(column), np.int64), 1)
        return replace(whole, bins=whole.bins[0], missing=whole.missing[0])

    def count_windows(self, column: pa.ChunkedArray, window_N: NDArray[np.int64], windows: int) -> Counts:
        """The rows of each window in these bins (K, B). `window_N` has the number of each row's window, 0 to K-1."""
        # An unknown value counts in the last bin.
        bins = len(self.shares)
        texts = pc.cast(plain(column), pa.string()).combine_chunks()
        found = pc.fill_null(pc.index_in(texts, pa.array(self.values, pa.string())), bins - 1).to_numpy()
        seen_N = pc.is_valid(texts).to_numpy(zero_copy_only=False)
        flat = np.bincount(window_N[seen_N] * bins + found[seen_N], minlength=windows * bins)
        missing_K = np.bincount(window_N[~seen_N], minlength=windows).astype(np.float64)
        return Counts(bins=flat.reshape(windows, bins).astype(np.float64), missing=missing_K, widths=np.empty(0))


Sketch = NumericSketch | CategoricalSketch


def kind_of(name: str, kind: pa.DataType) -> ValueKind:
    """The kind of sketch for a column of this type. Integers are numbers, booleans are categories.

    Raises ConfigurationError for a type that is neither a number nor text nor boolean."""
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return "numeric"
    value = kind.value_type if pa.types.is_dictionary(kind) else kind
    if pa.types.is_string(value) or pa.types.is_large_string(value) or pa.types.is_boolean(value):
        return "categorical"
    raise ConfigurationError(where="history", field=name, expected="numbers, text or booleans", came=str(kind))


def plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The column, with booleans as the texts `true` and `false`. Categories are compared by their text."""
    return pc.cast(column, pa.string()) if pa.types.is_boolean(column.type) else column


def sketch(name: str, column: pa.ChunkedArray) -> Sketch:
    """The sketch of a column with at least two different values. Raises ConfigurationError as `kind_of` does."""
    return _numeric(column) if kind_of(name, column.type) == "numeric" else _categorical(column)


def _numeric(column: pa.ChunkedArray) -> NumericSketch:
    values_N = np.concatenate([_numbers(chunk) for chunk in column.chunks])
    values_N = values_N[np.isfinite(values_N)]
    inner = _middle(values_N)
    sd = float(np.std(values_N)) or max(abs(inner[0]), 1.0)
    # The grid spans the rows and two deviations more on both sides, where new rows of a drifted column will fall. REACH
    # keeps a single absurd value from making the cells so wide that all other rows share one.
    reach = REACH * (inner[1] - inner[0])
    low = max(float(values_N.min()), inner[0] - reach) - 2 * sd
    high = min(float(values_N.max()), inner[1] + reach) + 2 * sd
    # The draft has the grid and no bins yet. How many rows fall into each of its cells decides where bins begin.
    draft = NumericSketch(low=low, high=high, inner=inner, edges="", cumulative="", sd=sd, missing=0.0)
    cells_C = np.bincount(draft._cells(values_N), minlength=CELLS)
    edges = _edges(cells_C, margin=int(CELLS * sd / (high - low)))
    first_cells = np.concatenate([[0], edges]).astype(np.int64)
    cumulative_B = np.cumsum(np.add.reduceat(cells_C, first_cells)) / len(values_N)
    return NumericSketch(
        low=low,
        high=high,
        edges=_pack(edges),
        cumulative=_pack(np.round(cumulative_B * SCALE)),
        inner=inner,
        sd=sd,
        missing=1 - len(values_N) / len(column),
    )


def _middle(values_N: NDArray[np.float64]) -> tuple[float, float]:
    """The ends of the middle 99.9 % of the rows; the ends of all rows if those in the middle have a single value."""
    low, high = np.quantile(values_N, [0.0005, 0.9995])
    if low == high:
        low, high = values_N.min(), values_N.max()
    return float(low), float(high)


def _edges(cells_C: NDArray[np.int64], margin: int) -> NDArray[np.int64]:
    """The first cell of each bin but the first. Bins have equally many rows; `cells_C` has the rows of each cell.

    A cell with the rows of four bins stands alone. The outermost bins lie `margin` cells outside the rows, and are
    empty."""
    # `after` is behind the cells where each further half per cent of the rows is reached. `heavy` are cells with many
    # rows, such as a default of 0: a boundary before and after each of them makes its share known by itself.
    rows = cells_C.sum()
    targets = np.arange(1, BINS) * rows / BINS
    after = np.searchsorted(np.cumsum(cells_C), targets) + 1
    heavy = np.flatnonzero(cells_C >= 4 * rows / BINS)
    seen = np.flatnonzero(cells_C)
    outside = np.array([seen[0] - margin, seen[-1] + 1 + margin])
    every = np.unique(np.concatenate([after, heavy, heavy + 1, outside]))
    return every[(every > 0) & (every < CELLS)]


def _categorical(column: pa.ChunkedArray) -> CategoricalSketch:
    tally = [entry for entry in pc.value_counts(plain(column)).to_pylist() if entry["values"] is not None]
    tally.sort(key=lambda entry: (-entry["counts"], str(entry["values"])))
    # The most frequent values that fit into CATEGORY_BYTES keep a bin each. A name's share and punctuation take 16.
    room = np.cumsum([len(str(entry["values"]).encode()) + 16 for entry in tally]) <= CATEGORY_BYTES
    kept = [entry for entry, fits in zip(tally, room, strict=True) if fits]
    present = sum(entry["counts"] for entry in tally)
    shares = [entry["counts"] / present for entry in kept]
    return CategoricalSketch(
        values=tuple(str(entry["values"]) for entry in kept),
        shares=(*(round(share, 7) for share in shares), round(max(0.0, 1 - sum(shares)), 7)),
        missing=1 - present / len(column),
    )


def _numbers(chunk: pa.Array) -> NDArray[np.float64]:
    """The values of a chunk without its nulls. Doubles without nulls are not copied."""
    present = chunk.drop_null() if chunk.null_count else chunk
    if not pa.types.is_float64(present.type):
        present = pc.cast(present, pa.float64())
    return np.asarray(present.to_numpy(zero_copy_only=False))


def _pack(numbers: NDArray[np.float64] | NDArray[np.int64]) -> str:
    """The numbers as base64 of little-endian uint16."""
    return base64.b64encode(numbers.astype("<u2").tobytes()).decode()


def _unpack(text: str) -> NDArray[np.uint16]:
    """The numbers that `_pack` has written."""
    return np.frombuffer(base64.b64decode(text), dtype="<u2")


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
