"""Reads rows from the Iceberg tables, with the labels that count: as they are now, or as a version has pinned them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import reduce
from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.expressions import AlwaysTrue, And, BooleanExpression, NotEqualTo
from pyiceberg.io.pyarrow import ArrowScan, schema_to_pyarrow
from pyiceberg.table import Table as IcebergTable

from millrace.contract.deduplicate import integers, key_of
from millrace.contract.schema import SOURCE
from millrace.datasets.journal import JournalEntry
from millrace.datasets.labels import LabelColumns, RowLabels
from millrace.datasets.new_rows import between, extremes, inside
from millrace.datasets.tables import Lake, as_of
from millrace.messages.train import MOST_PORTIONS
from millrace.timestamps import EPOCH

if TYPE_CHECKING:
    from millrace.features.history import History
    from millrace.workload.declaration import Prediction

    Numbers = npt.NDArray[np.int64]

MIX = np.uint64(0x9E3779B97F4A7C15)
"""An odd factor that spreads numbers over 64 bits (Fibonacci hashing, Knuth, TAOCP 3, 6.4)."""
PORTIONED = b"portion"
"""What makes hashes of keys the same in each process."""
SPREAD = 1 << 32
"""Keys that are no times have a place below this, by a hash of theirs."""
SECOND = 1_000_000
"""Microseconds."""
PORTION_ROWS = 1_000_000
"""About how many keys of a table are held in memory at a time."""


def join(
    lake: Lake, columns: LabelColumns, rows: pa.Table, *, labels_snapshot: int | None = None, but_of: str = ""
) -> RowLabels:
    """The labels of the rows by this snapshot of the labels, without it by the current one; but none of that file.

    Rows have the columns `columns.read`."""
    found, iceberg = RowLabels(rows, columns), lake.find("labels")
    if iceberg is None or iceberg.current_snapshot() is None or not rows.num_rows:
        return found
    which = around(rows, columns.key)
    if but_of:
        which = And(which, NotEqualTo(term=SOURCE, value=but_of))
    for part in parts(iceberg, columns.read, which, snapshot=labels_snapshot):
        found.add(part)
    return found


def around(rows: pa.Table, key: tuple[str, ...]) -> BooleanExpression:
    """The filter for rows from the lowest to the highest cell of `rows` in each column of the key."""
    return reduce(And, (between(name, extremes(rows, name)) for name in key))


def parts(
    iceberg: IcebergTable,
    names: Sequence[str],
    which: BooleanExpression | None = None,
    *,
    snapshot: int | None = None,
) -> Iterator[pa.Table]:
    """These columns of the rows that the filter finds in the snapshot, or in the current one.

    First comes an empty part, then one for each file."""
    which, iceberg = which or AlwaysTrue(), as_of(iceberg, snapshot)
    scan = iceberg.scan(row_filter=which, selected_fields=tuple(dict.fromkeys(names)))
    schema = scan.projection()
    reader = ArrowScan(iceberg.metadata, iceberg.io, schema, which)
    yield schema_to_pyarrow(schema, include_field_ids=False).empty_table()
    # pyiceberg's own reader of many files holds those that it has read ahead.
    yield from (reader.to_table([task]) for task in scan.plan_files())


@dataclass(frozen=True, kw_only=True)
class Portions:
    """How the keys of a table are divided: a key falls to the same portion of each table.

    cuts (10:00, 10:20)    portion 0: before 10:00, portion 1: before 10:20, portion 2: the others"""

    key: tuple[str, ...]
    time: str
    """The column of the key that is a time and divides them; empty if a hash of the key does."""
    cuts: tuple[int, ...]
    """Where a portion begins: in seconds since 1970, or below SPREAD."""

    @classmethod
    def of(
        cls, iceberg: IcebergTable, key: tuple[str, ...], time: str, *, rows: int, snapshot: int | None = None
    ) -> Self:
        """Portions of about so many `rows` of the snapshot, or of the current one. One column is read at most."""
        found = iceberg.snapshot_by_id(snapshot) if snapshot is not None else iceberg.current_snapshot()
        total = JournalEntry.of(found).rows_total if found is not None else 0
        rows = max(rows, -(-total // MOST_PORTIONS))
        if total <= rows:
            return cls(key=key, time="", cuts=())
        if time in key:
            seconds, counts = _counted(parts(iceberg, [time], snapshot=snapshot), time)
            # A time of more rows than a portion may have is divided by the hash of its keys, and all others with it.
            if counts.max(initial=0) <= rows:
                full = (np.cumsum(counts) - 1) // rows
                return cls(key=key, time=time, cuts=tuple(seconds[1:][np.diff(full) > 0].tolist()))
        many = -(-total // rows)
        return cls(key=key, time="", cuts=tuple(SPREAD * number // many for number in range(1, many)))

    def __len__(self) -> int:
        return len(self.cuts) + 1

    def read(
        self, iceberg: IcebergTable, names: Sequence[str], number: int, *, snapshot: int | None = None
    ) -> pa.Table:
        """These columns of the rows of a portion. Times are looked for in the files that have them alone."""
        found = parts(iceberg, names, self._within(iceberg, number), snapshot=snapshot)
        if self.cuts and not self.time:
            cuts = np.array(self.cuts)
            found = (
                part.filter(pa.array(np.searchsorted(cuts, self._spread(part), "right") == number)) for part in found
            )
        return pa.concat_tables(found)

    def _spread(self, rows: pa.Table) -> Numbers:
        """The place of each key below SPREAD, the same in each process; 0 for a null."""
        keys = key_of(rows, self.key)
        place = np.zeros(len(keys), np.int64)
        # Numbers are mixed: times are whole seconds, and all of them would fall to one portion.
        mixed = (integers(keys.drop_null(), PORTIONED)[0].view(np.uint64) * MIX) >> np.uint64(32)
        place[keys.is_valid().to_numpy(zero_copy_only=False)] = mixed.astype(np.int64)
        return place

    def _within(self, iceberg: IcebergTable, number: int) -> BooleanExpression | None:
        if not self.time:
            return None
        start, end = (
            EPOCH + timedelta(seconds=at) if at is not None else None for at in (None, *self.cuts, None)[number:][:2]
        )
        return inside(iceberg.schema(), self.time, start, end)


def _counted(some: Iterator[pa.Table], time: str) -> tuple[Numbers, Numbers]:
    """The seconds of all parts in order, and how many rows have each."""
    seconds, counts = np.empty(0, np.int64), np.empty(0, np.int64)
    for part in some:
        own, many = np.unique(_seconds(part, time), return_counts=True)
        seconds, at = np.unique(np.concatenate([seconds, own]), return_inverse=True)
        counts = np.bincount(at, np.concatenate([counts, many]), len(seconds)).astype(np.int64)
    return seconds, counts


def _seconds(rows: pa.Table, time: str) -> Numbers:
    kind = rows.schema.field(time).type
    micros = rows.column(time).cast(pa.timestamp("us", getattr(kind, "tz", None))).cast(pa.int64())
    found: Numbers = pc.fill_null(micros, 0).to_numpy() // SECOND
    return found


def columns_of(histories: Sequence[History]) -> list[str]:
    """The names of the columns that the histories read, each once."""
    return list(dict.fromkeys(name for history in histories for name in history.columns))


def read_past(lake: Lake, prediction: Prediction, histories: Sequence[History], rows: pa.Table) -> pa.Table | None:
    """The table's rows from as far back as a history reaches before any of `rows` to the time of the last of them.

    They have the columns of the histories, and the labels that count now. None without a table or a history, or if
    `rows` is empty."""
    iceberg = lake.find("rows") if histories else None
    if iceberg is None or iceberg.current_snapshot() is None or not rows.num_rows:
        return None
    names, event_time = columns_of(histories), prediction.event_time
    labels = LabelColumns.of(prediction, lake.names.workload)
    bounds = pc.min_max(rows.column(event_time)).as_py()
    # The farthest history decides how far back rows are read.
    reach, least = timedelta(hours=max(history.reach_hours for history in histories)), bounds["min"]
    first = least - min(reach, least - datetime.min.replace(tzinfo=least.tzinfo))  # the calendar begins with year 1
    within = between(event_time, (first, bounds["max"]))
    beside = labels.read if {*names} & {*labels.values} else ()
    found = iceberg.scan(row_filter=within, selected_fields=tuple(dict.fromkeys((*names, *beside)))).to_arrow()
    return (join(lake, labels, found).joined() if beside else found).select(names)
