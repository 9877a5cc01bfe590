"""Which label counts, and how a row gets it. Labels stay in their own table: they are joined when rows are read.

    training/may.csv, arrived 1 June: 1997-05-01, 0   the row's own label counts until a later one is there
    labels/may.csv,   arrived 5 June: 1997-05-01, 1   counts from then on
    labels/again.csv, arrived 9 June: 1997-05-01, 0   counts from then on, even if it is ingested first

The table of the labels keeps both. `_arrived`, the time of S3's event about the object, says which one is later. A
version of the dataset pins a snapshot of the rows and one of the labels, so it keeps the labels of its time, and a
label file that is withdrawn gives its rows back their labels of before. A row that was made of a decision has no label
of its own. A label that repeats the value is a duplicate and corrects nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from millrace.contract.deduplicate import key_of, with_marks
from millrace.contract.schema import ARRIVED, SOURCE, Table

if TYPE_CHECKING:
    from millrace.workload.declaration import Prediction

    Places = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class LabelColumns:
    """The columns by which labels and rows find each other, and those of the label."""

    key: tuple[str, ...]
    values: tuple[str, ...]
    late: str
    """How the source of a row begins that was made of a decision and its label."""

    @classmethod
    def of(cls, prediction: Prediction, workload: str) -> Self:
        return cls(key=prediction.key, values=prediction.label_columns, late=f"{workload}/labels/")

    @property
    def read(self) -> tuple[str, ...]:
        """The columns that must be read of rows and of labels."""
        return (*self.key, *self.values, SOURCE, ARRIVED)


def value_columns(table: Table) -> tuple[str, ...]:
    """The columns that a correction may change."""
    return tuple(column.name for column in table.columns if column.label)


class RowLabels:
    """The label that counts for each of some rows. Labels come a part at a time: memory grows by the rows alone."""

    def __init__(self, rows: pa.Table, columns: LabelColumns) -> None:
        """`rows` and labels have the columns `read`."""
        self._rows, self._columns = rows, columns
        self._keys = rows.select(columns.key)
        self._cells = {name: rows.column(name) for name in columns.values}
        self._cells[SOURCE] = pa.chunked_array([pa.nulls(rows.num_rows, pa.string())])
        late = pc.fill_null(pc.starts_with(rows.column(SOURCE), columns.late), False)
        self.is_late: npt.NDArray[np.bool_] = late.to_numpy(zero_copy_only=False).astype(bool)
        self._says, self._came = np.zeros(rows.num_rows, bool), np.full(rows.num_rows, -1, np.int64)

    def add(self, labels: pa.Table) -> None:
        """Further labels, in any order."""
        labels = current(labels, self._columns.key, self._columns.values)
        at = places(self._keys, labels, self._columns.key)
        met = np.flatnonzero(at >= 0)
        labels = labels.take(pa.array(at[met]))
        says, came, source = _says(labels, self._columns.values), arrivals(labels), labels.column(SOURCE)
        # The order of `last_of_each`, beside the label that counts so far.
        is_after = pc.greater_equal(source, pc.coalesce(self._cells[SOURCE].take(pa.array(met)), source))
        is_better = np.asarray(is_after)
        for own, known in ((came, self._came[met]), (says, self._says[met])):
            is_better = (own > known) | ((own == known) & is_better)
        labels = labels.filter(pa.array(is_better))
        met, says, came = met[is_better], says[is_better], came[is_better]
        if not len(met):
            return
        self._says[met], self._came[met] = says, came
        takes = np.arange(len(self._came))
        takes[met] = len(takes) + np.arange(len(met))
        for name, cells in self._cells.items():
            new = labels.column(name).cast(cells.type)
            both = pa.chunked_array([*cells.chunks, *new.chunks], cells.type).combine_chunks()
            self._cells[name] = pa.chunked_array([both.take(pa.array(takes))])

    @property
    def counts(self) -> npt.NDArray[np.bool_]:
        """Which rows have a label of the table: a row of a drop only one that arrived after it."""
        return (self._came >= 0) & (self.is_late | (self._came > arrivals(self._rows)))

    def joined(self) -> pa.Table:
        """The rows with the labels that count."""
        rows, counts = self._rows, pa.array(self.counts)
        for name in self._columns.values:
            place = rows.schema.get_field_index(name)
            cells = pc.if_else(counts, self._cells[name], rows.column(name))
            rows = rows.set_column(place, name, cells)
        return rows


def current(labels: pa.Table, key: Sequence[str], values: Sequence[str]) -> pa.Table:
    """The label that counts, for each key: the one that arrived last.

    Of two at the same moment the one with the greater landing key counts, or the last row of one file. A label without
    a value in any column of `values` says nothing: it counts only if the key has no other label."""
    return labels.take(pa.array(last_of_each(labels, key, values)))


def last_of_each(labels: pa.Table, key: Sequence[str], values: Sequence[str]) -> Places:
    """The positions of the labels that count, in the order of the table."""
    # From the labels that say nothing to those that do, and among each by arrival: the last one of a key counts.
    order = np.lexsort((_ranks(labels), arrivals(labels), _says(labels, values)))
    codes = key_of(labels, tuple(key)).dictionary_encode(null_encoding="encode")
    last = np.full(len(codes.dictionary), -1, np.int64)
    # numpy assigns in order, so of several labels with one key the last one stays.
    last[codes.indices.to_numpy()[order]] = order
    return np.sort(last)


def _ranks(labels: pa.Table) -> Places:
    """The rank of each label's landing key among all of them."""
    if SOURCE not in labels.column_names:
        return np.zeros(labels.num_rows, np.int64)
    sources = labels.column(SOURCE).combine_chunks().dictionary_encode(null_encoding="encode")
    ranks: Places = pc.rank(sources.dictionary).to_numpy().astype(np.int64)[sources.indices.to_numpy()]
    return ranks


def _says(labels: pa.Table, values: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Whether each label has a value."""
    says: npt.NDArray[np.bool_] = np.logical_or.reduce([labels.column(name).is_valid().to_numpy() for name in values])
    return says


def arrivals(rows: pa.Table) -> Places:
    """When each row or label arrived, in microseconds since 1970; 0 if nobody knows."""
    if ARRIVED not in rows.column_names:
        return np.zeros(rows.num_rows, np.int64)
    moments = rows.column(ARRIVED).combine_chunks().cast(pa.timestamp("us")).cast(pa.int64())
    found: Places = pc.fill_null(moments, 0).to_numpy()
    return found


def places(rows: pa.Table, labels: pa.Table, key: Sequence[str]) -> Places:
    """The position of each row's label, -1 for a row without one."""
    held = key_of(labels, tuple(key))
    found = pc.index_in(key_of(rows, tuple(key)).cast(held.type), value_set=held, skip_nulls=True)
    positions: Places = pc.fill_null(found, -1).cast(pa.int64()).to_numpy(zero_copy_only=False)
    return positions


def differs(rows: pa.Table, others: pa.Table, columns: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Whether any cell of these columns differs, for each pair of rows; two missing cells are equal."""
    # Compared by Arrow: texts in numpy are objects of 60 bytes each.
    marks = (key_of(with_marks(part, columns), tuple(columns)) for part in (rows, others))
    unequal: npt.NDArray[np.bool_] = pc.not_equal(*marks).to_numpy(zero_copy_only=False)
    return unequal
