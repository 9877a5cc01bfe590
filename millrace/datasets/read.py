"""Reads the rows of a pinned dataset version from its Parquet files, and joins the labels that count by its pin.

Columns are found by Iceberg's field ids, not by names: a column that was renamed has another name in the older files.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from millrace.contract.schema import ARRIVED, SOURCE
from millrace.datasets.labels import LabelColumns, RowLabels
from millrace.datasets.row_files import RowFiles, rows_at_once
from millrace.errors import SnapshotError
from millrace.features.as_of import times_us

LABELS_AT_ONCE = 2**19
"""The labels that are in memory at a time: rows are looked up once for each such part."""
FIELD_ID = b"PARQUET:field_id"
"""The key under which Arrow has a column's field id in its metadata."""


@dataclass(frozen=True, kw_only=True)
class SchemaColumn:
    field_id: int
    name: str


@dataclass(frozen=True, kw_only=True)
class PinnedFiles:
    """The files of a version: those of its rows, and those of the labels that were there when it was pinned."""

    rows: tuple[Path, ...]
    labels: tuple[Path, ...]
    label_columns: tuple[SchemaColumn, ...]

    @classmethod
    def find(cls, folder: Path, schema: Path) -> Self:
        """All Parquet files below `folder`. The document `labels.json` beside `schema` says which ones have labels."""
        document = schema.with_name("labels.json")
        found = json.loads(document.read_bytes()) if document.exists() else {"files": [], "schema": None}
        paths, named = sorted(path for path in folder.rglob("*.parquet") if path.is_file()), {*found["files"]}
        return cls(
            rows=tuple(path for path in paths if path.name not in named),
            labels=tuple(path for path in paths if path.name in named),
            label_columns=_columns(found["schema"]) if found["schema"] else (),
        )


def read_columns(schema: Path) -> tuple[SchemaColumn, ...]:
    """The columns of the Iceberg schema in `schema` (JSON, as Iceberg's specification writes it)."""
    return _columns(json.loads(schema.read_bytes()))


def _columns(document: Mapping[str, Any]) -> tuple[SchemaColumn, ...]:
    return tuple(SchemaColumn(field_id=field["id"], name=field["name"]) for field in document["fields"])


def read_snapshot(
    folder: Path,
    schema: Path,
    *,
    columns: Sequence[str],
    event_time: str,
    key: Sequence[str],
    optional: Sequence[str] = (),
    labels: LabelColumns | None = None,
    files: RowFiles | None = None,
) -> pa.Table:
    """The rows of all Parquet files below `folder`, with `columns`, key and event time, in the order of event time.

    With `labels`, these columns have the label that counts by the pinned labels, a part of which is in memory at a
    time. With `files` the cells lie in a file: in memory are keys, times and labels, and a piece of the other cells at
    a time. An `optional` column may be null; it is null in the rows of files that are older than the column.

    Raises SnapshotError if there is no file or no row, if a column is not in the schema, if a column that is not
    `optional` is null in some row, or if two rows have the same key."""
    known = {column.name: column for column in read_columns(schema)}
    wanted = tuple(dict.fromkeys([*columns, *key, event_time]))
    if unknown := [name for name in wanted if name not in known]:
        raise SnapshotError(f"expected columns of {schema.name}, got {', '.join(unknown)}")
    found = PinnedFiles.find(folder, schema)
    if not found.rows:
        raise SnapshotError(f"expected Parquet files below {folder}, found none")
    joins = labels is not None and bool(found.label_columns)
    asked = [known[name] for name in (*wanted, *((SOURCE, ARRIVED) if joins else ()))]
    optional = (*optional, SOURCE, ARRIVED)
    pieces = _of_one_type(found.rows, asked, optional)
    table = files.write(pieces) if files else pa.concat_tables(pieces)
    if labels is not None and joins:
        table = _labelled(table, labels, found).select(wanted)
    _refuse_nulls(table, optional)
    order = [(event_time, "ascending"), *((name, "ascending") for name in key)]
    few = table.select(list(dict.fromkeys(name for name, _ in order)))
    # Sorted by the key, so that equal keys are neighbours, whatever file they came from.
    _refuse_duplicates(few.sort_by([(name, "ascending") for name in key]), key)
    if files is not None:
        return files.in_order(table, pc.sort_indices(few, order).to_numpy().astype("int64"))
    return table.sort_by(order).combine_chunks()


def _labelled(table: pa.Table, columns: LabelColumns, files: PinnedFiles) -> pa.Table:
    """The rows with the labels that count by the pinned ones."""
    labels = RowLabels(table.select(columns.read), columns)
    known = {column.name: column for column in files.label_columns}
    asked = [known[name] for name in columns.read]
    for path in files.labels:
        for part in _read_pieces(path, asked, (*columns.values, ARRIVED), LABELS_AT_ONCE):
            labels.add(part)
    joined = labels.joined()
    for name in columns.values:
        table = table.set_column(table.schema.get_field_index(name), name, joined.column(name))
    # A row that was made of a decision is none without its label.
    stays = ~labels.is_late | labels.counts
    return table if stays.all() else table.filter(pa.array(stays))


def _of_one_type(paths: Sequence[Path], columns: Sequence[SchemaColumn], optional: Sequence[str]) -> Iterator[pa.Table]:
    """The rows of the files in the order in which they are read, in pieces of the same types."""
    none = pa.concat_tables([_read_none(path, columns, optional) for path in paths], promote_options="permissive")
    # A file may lack a column or hold a narrower type. Each piece is put behind an empty table of the common types.
    for piece in chain([none], *(_read_pieces(path, columns, optional) for path in paths)):
        yield pa.concat_tables([none, piece], promote_options="permissive")


def times(table: pa.Table, name: str) -> npt.NDArray[np.datetime64]:
    """The cells of a column without nulls as datetime64[us]; in UTC if the column has a time zone."""
    return times_us(table[name]).view("datetime64[us]")


def _read_none(path: Path, columns: Sequence[SchemaColumn], optional: Sequence[str]) -> pa.Table:
    """An empty table with the types that the columns have in this file."""
    with pq.ParquetFile(path) as file:
        return _renamed(file.schema_arrow.empty_table(), _own_names(path, file, columns, optional), columns)


def _read_pieces(
    path: Path, columns: Sequence[SchemaColumn], optional: Sequence[str], rows: int = 0
) -> Iterator[pa.Table]:
    """The rows of the file, so many at a time; without a number, as many as fit into memory."""
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        own, held = _own_names(path, file, columns, optional), file.metadata
        size = rows or rows_at_once(
            sum(held.row_group(n).total_byte_size for n in range(held.num_row_groups)), held.num_rows
        )
        for batch in file.iter_batches(size, columns=list(own.values())):
            yield _renamed(pa.Table.from_batches([batch]), own, columns)


def names_by_id(file: pq.ParquetFile) -> dict[int, str]:
    """The names of the columns in this file, by field id."""
    return {int((field.metadata or {}).get(FIELD_ID, b"-1")): field.name for field in file.schema_arrow}


def _own_names(
    path: Path, file: pq.ParquetFile, columns: Sequence[SchemaColumn], optional: Sequence[str]
) -> dict[str, str]:
    """The name of each column in this file; optional columns that the file lacks are left out.

    Raises SnapshotError if the file lacks a column that is not optional."""
    names = names_by_id(file)
    missing = [column for column in columns if column.field_id not in names]
    if needed := [column for column in missing if column.name not in optional]:
        ids = ", ".join(f"{column.field_id} ({column.name})" for column in needed)
        raise SnapshotError(f"{path.name}: expected the field ids {ids}, found none")
    return {column.name: names[column.field_id] for column in columns if column not in missing}


def _renamed(table: pa.Table, own: Mapping[str, str], columns: Sequence[SchemaColumn]) -> pa.Table:
    """The table with the present names of the columns, and nulls in columns that it lacks."""
    names = [column.name for column in columns]
    return pa.table({name: table[own[name]] if name in own else pa.nulls(table.num_rows) for name in names})


def _refuse_nulls(table: pa.Table, optional: Sequence[str]) -> None:
    """Raise SnapshotError for a table without rows, and for nulls in a column that is not optional."""
    if not table.num_rows:
        raise SnapshotError("expected rows in the files of a snapshot, found none")
    required = [name for name in table.column_names if name not in optional]
    empty = {name: table[name].null_count for name in required if table[name].null_count}
    if empty:
        counts = ", ".join(f"{name}: {count} rows" for name, count in empty.items())
        raise SnapshotError(f"expected a value in each row of each column, got none in {counts}")


def _refuse_duplicates(table: pa.Table, key: Sequence[str]) -> None:
    """Raise SnapshotError if two rows have the same key. `table` is in the order of `key`."""
    # Equal keys are neighbours: each column is compared with itself, shifted by one row.
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
