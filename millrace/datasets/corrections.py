"""Corrected labels: a label with another value for the same key corrects the one before. The later counts everywhere.

    labels/may.csv,   arrived 1 June: 1997-05-01, 0   counts until the next one is there
    labels/again.csv, arrived 9 June: 1997-05-01, 1   counts from then on, even if it is ingested first

The table of the labels keeps both. `_arrived`, the time of S3's event about the object, says which one is later. A row
of the dataset with the earlier value leaves the dataset and comes back with the later value, in one commit. Versions of
the dataset that were pinned before keep the earlier value. A label that repeats the value is a duplicate and corrects
nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from millrace.contract.deduplicate import key_of
from millrace.contract.schema import ARRIVED, Table

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa


def value_columns(table: Table) -> tuple[str, ...]:
    """The columns that a correction may change."""
    return tuple(column.name for column in table.columns if column.label)


def current(labels: pa.Table, key: Sequence[str], values: Sequence[str]) -> pa.Table:
    """The label that counts, for each key: the one that arrived last, or the last row of two at the same moment.

    A label without a value in any column of `values` says nothing: it counts only if the key has no other label."""
    import pyarrow as pa

    return labels.take(pa.array(last_of_each(labels, key, values)))


def last_of_each(labels: pa.Table, key: Sequence[str], values: Sequence[str]) -> npt.NDArray[np.int64]:
    """The positions of the labels that count, in the order of the table."""
    import numpy as np

    says = np.logical_or.reduce([labels.column(name).is_valid().to_numpy() for name in values])
    # From the labels that say nothing to those that do, and among each by arrival: the last one of a key counts.
    order = np.lexsort((arrivals(labels), says))
    codes = key_of(labels, tuple(key)).dictionary_encode(null_encoding="encode")
    last = np.full(len(codes.dictionary), -1, np.int64)
    # numpy assigns in order, so of several labels with one key the last one stays.
    last[codes.indices.to_numpy()[order]] = order
    return np.sort(last)


def arrivals(labels: pa.Table) -> npt.NDArray[np.int64]:
    """When each label arrived, in microseconds since 1970; 0 if nobody knows."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if ARRIVED not in labels.column_names:
        return np.zeros(labels.num_rows, np.int64)
    moments = labels.column(ARRIVED).combine_chunks().cast(pa.timestamp("us")).cast(pa.int64())
    found: npt.NDArray[np.int64] = pc.fill_null(moments, 0).to_numpy()
    return found
