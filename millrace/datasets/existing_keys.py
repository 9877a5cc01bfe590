"""The keys that a table holds, as far as a drop can meet them."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from millrace.contract.validate import Keys, key_of, refuse_known
from millrace.contract.violation import QuarantinedRow
from millrace.datasets.tables import Lake

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq
    from pyiceberg.expressions import BooleanExpression
    from pyiceberg.table import Table as IcebergTable


def held_keys(lake: Lake, table: str, iceberg: IcebergTable | None, rows: pa.Table) -> tuple[Keys, ...]:
    """For each key of the contract what the table holds of it between the least and the greatest of `rows`."""
    if iceberg is None or iceberg.current_snapshot() is None or not rows.num_rows:
        return ()
    return tuple(_held(iceberg, key, _extremes(rows, key[0])) for key in lake.contract_of(table).keys)


def held_in_range_of(lake: Lake, table: str, iceberg: IcebergTable | None, parsed: Path) -> tuple[Keys, ...]:
    """As `held_keys`, for the rows of a Parquet file of which only the footer is read."""
    import pyarrow.parquet as pq

    if iceberg is None or iceberg.current_snapshot() is None:
        return ()
    # The footer has the least and the greatest value of each row group: no row is read to know the range.
    metadata = pq.read_metadata(parsed)
    return tuple(
        _held(iceberg, key, _bounds(metadata, key[0])) for key in lake.contract_of(table).keys if metadata.num_rows
    )


def refuse_held(
    lake: Lake, table: str, iceberg: IcebergTable, rows: pa.Table
) -> tuple[pa.Table, tuple[QuarantinedRow, ...]]:
    """The rows whose keys are still new, and the others with the reason `duplicate_key`."""
    result = refuse_known(rows, held_keys(lake, table, iceberg, rows))
    return result.accepted, result.refused


def _held(iceberg: IcebergTable, columns: tuple[str, ...], bounds: tuple[Any, Any] | None) -> Keys:
    found = iceberg.scan(row_filter=between(columns[0], bounds), selected_fields=columns).to_arrow()
    return Keys(columns=columns, values=key_of(found, columns))


def _extremes(rows: pa.Table, column: str) -> tuple[Any, Any] | None:
    import pyarrow.compute as pc

    found = pc.min_max(rows.column(column)).as_py()
    return None if found["min"] is None else (found["min"], found["max"])


def _bounds(metadata: pq.FileMetaData, column: str) -> tuple[Any, Any] | None:
    """The least and the greatest value of the column, None where a row group does not say."""
    place = metadata.schema.names.index(column)
    groups = [metadata.row_group(number).column(place).statistics for number in range(metadata.num_row_groups)]
    told = [group for group in groups if group is None or group.num_values]
    if not told or not all(group is not None and group.has_min_max for group in told):
        return None
    try:
        return min(group.min for group in told), max(group.max for group in told)
    except OverflowError:
        return None  # a time outside of Python's years


def between(column: str, bounds: tuple[Any, Any] | None) -> BooleanExpression:
    """Files and row groups outside of the drop's range are not read."""
    from pyiceberg.expressions import AlwaysTrue, And, GreaterThanOrEqual, LessThanOrEqual

    if bounds is None or not isinstance(bounds[0], int | date) or isinstance(bounds[0], bool):
        return AlwaysTrue()
    low, high = (bound.isoformat() if isinstance(bound, date) else bound for bound in bounds)
    return And(GreaterThanOrEqual(term=column, value=low), LessThanOrEqual(term=column, value=high))
