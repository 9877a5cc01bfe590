"""Says whether a table may hold a key within a range, by the bounds that its manifests name for each data file.

A scan decodes the entries of all manifests, for every drop. Their bounds never change, so a process keeps them:

    manifest   lows               highs
    m0.avro    [05-01, 05-08]     [05-07, 05-14]
    m1.avro    [05-20]            [05-26]             05-15 to 05-19: no file, so no scan"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from cachetools import LRUCache, cached

if TYPE_CHECKING:
    from pyiceberg.manifest import ManifestFile
    from pyiceberg.table import Table as IcebergTable
    from pyiceberg.types import NestedField

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
KEPT_FILES = 2**20
"""The data files whose bounds a process keeps, 16 bytes each: 16 MiB."""
LOWEST, HIGHEST = np.iinfo(np.int64).min, np.iinfo(np.int64).max
"""The bounds of a file whose manifest names none."""


def may_hold(iceberg: IcebergTable, column: str, low: Any, high: Any) -> bool:
    """Whether a data file of the current snapshot may have a value from `low` to `high` in the column.

    The column and its bounds are whole numbers, dates or times; times and dates are given in ISO 8601."""
    from pyiceberg.expressions.literals import literal

    snapshot, field = iceberg.current_snapshot(), iceberg.schema().find_field(column)
    if snapshot is None:
        return False
    first, last = (literal(bound).to(field.field_type).value for bound in (low, high))
    for manifest in snapshot.manifests(iceberg.io):
        lows, highs = _bounds(iceberg, manifest, field)
        if bool(np.any((lows <= last) & (highs >= first))):
            return True
    return False


def newest(table: IcebergTable, column: str) -> datetime | None:
    """The newest time in the column by its bounds, in UTC; a time without a zone is taken for UTC. No row is read.

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


def _key(iceberg: IcebergTable, manifest: ManifestFile, field: NestedField) -> tuple[str, int]:
    del iceberg
    return manifest.manifest_path, field.field_id


@cached(LRUCache(KEPT_FILES, getsizeof=lambda bounds: max(1, len(bounds[0]))), key=_key, lock=Lock())
def _bounds(iceberg: IcebergTable, manifest: ManifestFile, field: NestedField) -> tuple[np.ndarray, np.ndarray]:
    """The lowest and the highest value of the column in each data file of the manifest, as Iceberg's whole numbers."""
    from pyiceberg.conversions import from_bytes
    from pyiceberg.types import PrimitiveType

    kind, column = field.field_type, field.field_id
    assert isinstance(kind, PrimitiveType)
    files = [entry.data_file for entry in manifest.fetch_manifest_entry(iceberg.io)]
    named = [((file.lower_bounds or {}).get(column), (file.upper_bounds or {}).get(column)) for file in files]
    lows = [LOWEST if low is None else int(from_bytes(kind, low)) for low, _ in named]
    highs = [HIGHEST if high is None else int(from_bytes(kind, high)) for _, high in named]
    return np.array(lows, dtype=np.int64), np.array(highs, dtype=np.int64)
