"""Finds the newest value of a column of times, by the bounds that Iceberg keeps for each data file. No row is read.

The manifests of the current snapshot are read whole. Source: https://iceberg.apache.org/spec/#manifests"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyiceberg.table import Table

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def newest(table: Table, column: str) -> datetime | None:
    """The newest time in the column, in UTC; a time without a zone is taken for UTC.

    None if no row has a time, or if the table has no such column of times."""
    from pyiceberg.conversions import from_bytes
    from pyiceberg.types import TimestampType, TimestamptzType

    if column not in table.schema().column_names:
        return None
    field = table.schema().find_field(column)
    if not isinstance(field.field_type, TimestampType | TimestamptzType):
        return None
    # The upper bound of each data file, as bytes; of a time it is a number of microseconds since 1970.
    bounds = (
        task.file.upper_bounds.get(field.field_id) for task in table.scan().plan_files() if task.file.upper_bounds
    )
    found = [int(from_bytes(field.field_type, bound)) for bound in bounds if bound]
    return EPOCH + timedelta(microseconds=max(found)) if found else None
