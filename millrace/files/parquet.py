"""Parquet: its own types must fit the contract's; a cell that does not fit costs one row."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from millrace.contract.arrow import arrow_type, parsed_schema
from millrace.contract.row import shown
from millrace.contract.schema import Column, Kind, Table
from millrace.contract.validate import Refused, raw_row
from millrace.errors import DropError
from millrace.files.cast import cast
from millrace.files.csv import check_header
from millrace.files.parsed import Limits, Parsed

if TYPE_CHECKING:
    import pyarrow as pa

MAGIC = b"PAR1"


def read(path: Path, table: Table, limits: Limits) -> Iterator[Parsed]:
    """The file in parts; page checksums are verified where the writer left them. Raises DropError as `read_drop`."""
    import pyarrow as pa

    with path.open("rb") as file:
        file.seek(-min(len(MAGIC), path.stat().st_size), 2)
        if file.read() != MAGIC:
            raise DropError("truncated", "expected a Parquet file that ends with its magic bytes, came one cut off")
    try:
        yield from _batches(path, table, limits)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError, EOFError) as error:
        raise DropError("corrupt", f"expected a readable Parquet file, came: {shown(str(error))}") from None


def _batches(path: Path, table: Table, limits: Limits) -> Iterator[Parsed]:
    import pyarrow.parquet as pq

    schema = pq.read_schema(path)
    _check_schema(schema, table)
    texts = [name for name in schema.names if table.column(name).kind in ("string", "binary")]
    # Texts stay a dictionary until their decoded size is known: a small file can hold gigabytes of one word.
    with pq.ParquetFile(path, page_checksum_verification=True, read_dictionary=texts) as file:
        _check_size(file.metadata, limits)
        row = 1
        for batch in file.iter_batches(batch_size=limits.batch_rows):
            yield _typed(batch, row, table, limits)
            row += batch.num_rows


def _check_size(metadata: Any, limits: Limits) -> None:
    decoded = sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
    if metadata.num_rows > limits.rows:
        raise DropError("too_large", f"expected {limits.rows} rows at most, came {metadata.num_rows}")
    if decoded > limits.decoded_bytes:
        raise DropError("too_large", f"expected {limits.decoded_bytes} bytes at most unpacked, came {decoded}")


def _check_schema(schema: pa.Schema, table: Table) -> None:
    if check_header(schema.names, table) != schema.names:
        raise DropError("columns", f"expected names without spaces around them, came {schema.names}")
    for name in schema.names:
        column, came = table.column(name), schema.field(name).type
        if not _fits(came, column):
            raise DropError("column_type", f"{name}: expected a {column.kind}, came {came}")


def _fits(came: pa.DataType, column: Column) -> bool:
    """Whether cells of this type can be the column's at all; whether each one is, its cast tells."""
    from pyarrow import types

    if types.is_dictionary(came):
        came = came.value_type
    kind: Kind = column.kind
    if types.is_null(came):
        return True
    if kind in ("int32", "int64", "float32", "float64"):
        return bool(types.is_integer(came) or types.is_floating(came))
    if kind in ("timestamp", "timestamp_utc"):
        return bool(types.is_timestamp(came) and (came.tz is None) is (kind == "timestamp"))
    checks: dict[Kind, tuple[Callable[[pa.DataType], bool], ...]] = {
        "string": (types.is_string, types.is_large_string),
        "binary": (types.is_binary, types.is_large_binary, types.is_fixed_size_binary),
        "boolean": (types.is_boolean,),
        "date": (types.is_date,),
    }
    return any(check(came) for check in checks[kind])


def _typed(batch: pa.RecordBatch, first: int, table: Table, limits: Limits) -> Parsed:
    import numpy as np
    import pyarrow as pa

    schema, lines = parsed_schema(table), np.arange(first, first + batch.num_rows)
    arrays: list[pa.Array] = []
    wrong: dict[int, list[str]] = {}
    for column in table.columns:
        if column.name not in batch.schema.names:
            arrays.append(pa.nulls(batch.num_rows, arrow_type(column.kind)))
            continue
        cells = batch.column(column.name)
        values, misfits = cast(_plain(cells, limits), arrow_type(column.kind))
        arrays.append(values)
        for at in misfits:
            detail = f"{column.name}: expected a {column.kind}, came {shown(cells[at].as_py())}"
            wrong.setdefault(at, []).append(detail)
    rows = pa.Table.from_arrays([*arrays, pa.array(lines, pa.int64())], schema=schema)
    if not wrong:
        return Parsed(rows=rows, unparsable=())
    keep = np.ones(batch.num_rows, dtype=bool)
    keep[list(wrong)] = False
    unparsable = tuple(
        Refused(
            line=first + at, reason="type", detail="; ".join(wrong[at]), raw=raw_row(batch.slice(at, 1).to_pylist()[0])
        )
        for at in sorted(wrong)
    )
    return Parsed(rows=rows.filter(pa.array(keep)), unparsable=unparsable)


def _plain(cells: pa.Array, limits: Limits) -> pa.Array:
    """The cells without a dictionary; raises DropError `too_large` before it unpacks more than allowed."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_dictionary(cells.type):
        return cells
    decoded = pc.sum(pc.binary_length(cells.dictionary).take(cells.indices)).as_py() or 0
    if decoded > limits.decoded_bytes // 8:
        most = limits.decoded_bytes // 8
        raise DropError("too_large", f"expected texts of {most} bytes at most in {len(cells)} rows, came {decoded}")
    return cells.dictionary_decode()
