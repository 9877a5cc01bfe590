"""The rows of a pinned dataset version, read from its Parquet files by Iceberg field id.

Field ids, not names: a column that was renamed later has another name in the older files.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from millrace.errors import SnapshotError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

FIELD_ID = b"PARQUET:field_id"


@dataclass(frozen=True, kw_only=True)
class SchemaColumn:
    field_id: int
    name: str


def read_columns(schema: Path) -> tuple[SchemaColumn, ...]:
    """The columns of the Iceberg schema in `schema` (JSON, as Iceberg's specification writes it)."""
    document = json.loads(schema.read_bytes())
    return tuple(SchemaColumn(field_id=field["id"], name=field["name"]) for field in document["fields"])


def read_snapshot(
    folder: Path,
    schema: Path,
    *,
    columns: Sequence[str],
    event_time: str,
    key: Sequence[str],
    optional: Sequence[str] = (),
) -> pa.Table:
    """The columns asked for, of all Parquet files below `folder`, in the order of event time.

    An `optional` column that came into the schema after a file is null in its rows. Raises SnapshotError when there is
    no file or no row, a column is nowhere in the schema, one that is not `optional` holds nothing in some row, or two
    rows have the same key."""
    import pyarrow as pa

    known = {column.name: column for column in read_columns(schema)}
    wanted = tuple(dict.fromkeys([*columns, *key, event_time]))
    if unknown := [name for name in wanted if name not in known]:
        raise SnapshotError(f"expected columns of {schema.name}, got {', '.join(unknown)}")
    paths = sorted(path for path in folder.rglob("*.parquet") if path.is_file())
    if not paths:
        raise SnapshotError(f"expected Parquet files below {folder}, found none")
    # Sorted by the key first: equal keys become neighbours, whatever file they came from.
    parts = [_read_part(path, [known[name] for name in wanted], optional) for path in paths]
    table = pa.concat_tables(parts, promote_options="permissive").sort_by([(name, "ascending") for name in key])
    if table.num_rows == 0:
        raise SnapshotError(f"expected rows in {len(paths)} files below {folder}, found none")
    _refuse_nulls(table, optional)
    _refuse_duplicates(table, key)
    return table.sort_by([(event_time, "ascending"), *((name, "ascending") for name in key)]).combine_chunks()


def times(table: pa.Table, name: str) -> npt.NDArray[np.datetime64]:
    """A column without nulls as datetime64[us]; UTC where the column has a time zone."""
    import numpy as np
    import pyarrow as pa

    moments = table[name].combine_chunks().cast(pa.timestamp("us"), safe=False).cast(pa.int64())
    found: npt.NDArray[np.datetime64] = np.from_dlpack(moments).view(np.dtype("datetime64[us]"))
    return found


def _read_part(path: Path, columns: Sequence[SchemaColumn], optional: Sequence[str]) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        names = {int((field.metadata or {}).get(FIELD_ID, b"-1")): field.name for field in file.schema_arrow}
        missing = [column for column in columns if column.field_id not in names]
        if needed := [column for column in missing if column.name not in optional]:
            ids = ", ".join(f"{column.field_id} ({column.name})" for column in needed)
            raise SnapshotError(f"{path.name}: expected the field ids {ids}, found none")
        table = file.read(columns=[names[column.field_id] for column in columns if column not in missing])
    cells = {
        column.name: pa.nulls(table.num_rows) if column in missing else table[names[column.field_id]]
        for column in columns
    }
    return pa.table(cells)


def _refuse_nulls(table: pa.Table, optional: Sequence[str]) -> None:
    required = [name for name in table.column_names if name not in optional]
    empty = {name: table[name].null_count for name in required if table[name].null_count}
    if empty:
        counts = ", ".join(f"{name}: {count} rows" for name, count in empty.items())
        raise SnapshotError(f"expected a value in each row of each column, got none in {counts}")


def _refuse_duplicates(table: pa.Table, key: Sequence[str]) -> None:
    """`table` is in the order of `key`, so equal keys are neighbours."""
    import pyarrow.compute as pc

    same = None
    for name in key:
        column = table[name].combine_chunks()
        equal = pc.equal(column[1:], column[:-1])
        same = equal if same is None else pc.and_(same, equal)
    count = 0 if same is None else pc.sum(same).as_py() or 0
    if count:
        first = pc.index(same, True).as_py()
        came = ", ".join(f"{name}={table[name][first].as_py()}" for name in key)
        raise SnapshotError(f"expected one row per key, got {count} repeated keys, first {came}")
