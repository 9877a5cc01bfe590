"""Reads rows from the Iceberg tables, with the labels that count: as they are now, or as a version has pinned them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from millrace.contract.deduplicate import integers, key_of
from millrace.contract.schema import SOURCE
from millrace.datasets.labels import LabelColumns, RowLabels
from millrace.datasets.new_rows import between, extremes
from millrace.datasets.tables import Lake

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.expressions import BooleanExpression
    from pyiceberg.table import Table as IcebergTable

    from millrace.features.history import History
    from millrace.workload.declaration import Prediction

MIX = np.uint64(0x9E3779B97F4A7C15)
"""An odd factor that spreads numbers over 64 bits (Fibonacci hashing, Knuth, TAOCP 3, 6.4)."""
PORTION_ROWS = 1_000_000
"""About how many keys of a table are held in memory at a time."""


def join(
    lake: Lake, columns: LabelColumns, rows: pa.Table, *, labels_snapshot: int | None = None, but_of: str = ""
) -> RowLabels:
    """The labels of the rows by this snapshot of the labels, without it by the current one; but none of that file.

    Rows have the columns `columns.read`."""
    from pyiceberg.expressions import And, NotEqualTo

    found, iceberg = RowLabels(rows, columns), lake.find("labels")
    if iceberg is None or iceberg.current_snapshot() is None or not rows.num_rows:
        return found
    which = between(columns.key[0], extremes(rows, columns.key[0]))
    if but_of:
        which = And(which, NotEqualTo(term=SOURCE, value=but_of))
    for part in parts(iceberg, columns.read, which, snapshot=labels_snapshot):
        found.add(part)
    return found


def parts(
    iceberg: IcebergTable,
    names: Sequence[str],
    which: BooleanExpression | None = None,
    *,
    snapshot: int | None = None,
) -> Iterator[pa.Table]:
    """These columns of the rows that the filter finds in the snapshot, or in the current one.

    First comes an empty part, then one for each file."""
    from pyiceberg.expressions import AlwaysTrue
    from pyiceberg.io.pyarrow import ArrowScan, schema_to_pyarrow

    which = which or AlwaysTrue()
    scan = iceberg.scan(row_filter=which, selected_fields=tuple(dict.fromkeys(names)), snapshot_id=snapshot)
    schema = scan.projection()
    reader = ArrowScan(iceberg.metadata, iceberg.io, schema, which)
    yield schema_to_pyarrow(schema, include_field_ids=False).empty_table()
    # pyiceberg's own reader of many files holds those that it has read ahead.
    yield from (reader.to_table([task]) for task in scan.plan_files())


def portions(rows: int) -> int:
    """In how many portions a table with so many rows is read."""
    return max(1, -(-rows // PORTION_ROWS))


def portion(
    iceberg: IcebergTable,
    names: Sequence[str],
    key: tuple[str, ...],
    *,
    number: int,
    of: int,
    snapshot: int | None = None,
    by_day: bool = False,
) -> pa.Table:
    """One of the portions of the table: the rows whose key falls to it, so a key is in the same portion of each table.

    The table is read whole for each. `by_day` divides by the days of the key, which is a time."""
    import pyarrow as pa

    found = (in_portion(part, key, number, of, by_day=by_day) for part in parts(iceberg, names, snapshot=snapshot))
    return pa.concat_tables(found)


def in_portion(rows: pa.Table, key: tuple[str, ...], number: int, of: int, *, by_day: bool = False) -> pa.Table:
    """Those of the rows whose key falls to the portion; each does for one portion of one."""
    import pyarrow as pa

    if of == 1:
        return rows
    keys = key_of(rows, key)
    keys = keys.cast(pa.date32()) if by_day else keys
    rows, keys = rows.filter(keys.is_valid()), keys.drop_null()
    # Numbers are mixed: times are whole seconds, and all of them would fall to one portion.
    mixed = (integers(keys)[0].view(np.uint64) * MIX) >> np.uint64(32)
    return rows.filter(pa.array(mixed % np.uint64(of) == number))


def columns_of(histories: Sequence[History]) -> list[str]:
    """The names of the columns that the histories read, each once."""
    return list(dict.fromkeys(name for history in histories for name in history.columns))


def read_past(lake: Lake, prediction: Prediction, histories: Sequence[History], rows: pa.Table) -> pa.Table | None:
    """The table's rows from as far back as a history reaches before any of `rows` to the time of the last of them.

    They have the columns of the histories, and the labels that count now. None without a table or a history, or if
    `rows` is empty."""
    import pyarrow.compute as pc

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
