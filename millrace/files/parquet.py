"""Reads Parquet. Each column's type must fit the contract's; a cell that does not fit quarantines only its row."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from millrace.contract.csv_form import CsvForm
from millrace.contract.kinds import FLOATS, NUMBERS, TIMES, Kind, arrow_type
from millrace.contract.reasons import Reason
from millrace.contract.schema import Column, Table, parsed_schema
from millrace.contract.violation import RuleViolation, raw_row, truncate
from millrace.errors import DropError
from millrace.files.bounded import read_bounded
from millrace.files.cast import (
    cast,
    from_csv,
    from_json,
    from_text,
    numbers_from_text,
    numbers_in_format,
    own_texts,
    with_mapped,
    without,
    without_numbers,
)
from millrace.files.origin import Origin
from millrace.files.parsed import Limits, Parsed, check_header, note_wrong_type, without_wrong
from millrace.files.row_batches import Footer, is_binary, is_text, plain, unpack

MAGIC = b"PAR1"
"""The first and the last bytes of a file."""
NAN = "NaN"
"""As a word for missing cells, it also stands for the floats that are not a number."""


def read(
    path: Path, table: Table, limits: Limits, _: Origin | None = None, *, groups: Sequence[int] | None = None
) -> Iterator[Parsed]:
    """The file in parts. Checksums of pages are verified if the file has them. Raises DropError as `read_drop` does.

    `groups` are the numbers of the row groups that are read, one after the other; None for all."""
    with path.open("rb") as file:
        file.seek(-min(len(MAGIC), path.stat().st_size), 2)
        if file.read() != MAGIC:
            raise DropError(Reason.TRUNCATED, expected=f"a Parquet file that ends with {MAGIC!r}", got="one cut off")
    with _refusals(limits):
        yield from _parts(path, table, limits, groups)


def footer_of(path: Path) -> Footer:
    """The footer of a file. Raises DropError for one with which pyarrow would end this process or take its memory."""
    limits = Limits()
    with _refusals(limits), closing(_unpacked(path, (), limits, 1)) as unpacked:
        return next(unpacked)


@contextmanager
def _refusals(limits: Limits) -> Iterator[None]:
    """Raise DropError for what pyarrow and its process raise about a file."""
    try:
        yield
    except MemoryError:
        bounds = f"{limits.memory_bytes // 2**20} MiB of memory and {limits.cpu_s} s of a processor"
        expected = f"a Parquet file that is read within {bounds}"
        raise DropError(Reason.TOO_LARGE, expected=expected, got="one that takes more") from None
    except (pa.ArrowException, OSError, EOFError, UnicodeDecodeError, OverflowError) as error:
        raise DropError(Reason.CORRUPT, expected="a readable Parquet file", got=truncate(str(error))) from None


def _parts(path: Path, table: Table, limits: Limits, groups: Sequence[int] | None) -> Iterator[Parsed]:
    """The file in parts, once its footer has passed all checks. pyarrow reads it in a process of its own."""
    names = {name for name, known in table.name_of.items() if known}
    with closing(_unpacked(path, names, limits, limits.rows_of(table), groups)) as unpacked:
        for came in unpacked:
            if isinstance(came, Footer):
                _check_schema(came.schema, table)
                _check_rows(came, limits)
                row = came.first
            else:
                batch = pa.ipc.open_stream(came).read_next_batch()
                yield typed(batch, row, table)
                row += batch.num_rows


def _unpacked(
    path: Path, names: Collection[str], limits: Limits, most_rows: int, groups: Sequence[int] | None = ()
) -> Generator[Footer | pa.Buffer, None, None]:
    """What `unpack` yields, within the limits."""
    bounds = {"memory_bytes": limits.memory_bytes, "cpu_s": limits.cpu_s}
    return read_bounded(unpack, path, names, limits, most_rows, groups, **bounds)


def _check_rows(footer: Footer, limits: Limits) -> None:
    if footer.row_groups > limits.row_groups:
        expected = f"{limits.row_groups} row groups at most"
        raise DropError(Reason.TOO_LARGE, expected=expected, got=f"{footer.row_groups}")
    if footer.rows > limits.rows:
        raise DropError(Reason.TOO_LARGE, expected=f"{limits.rows} rows at most", got=f"{footer.rows}")


def _check_schema(schema: pa.Schema, table: Table) -> None:
    """Raise DropError for columns that are not the contract's, and for a type that cannot hold the contract's cells."""
    for name, field in zip(check_header(schema.names, table), schema, strict=True):
        if name in table.shared:
            stored = plain(field.type)
            is_list = types.is_list(stored) or types.is_large_list(stored)
            if not (is_text(stored) or is_list or types.is_null(stored)):
                expected = f"texts or lists in the column {field.name}, which several columns share"
                raise DropError(Reason.COLUMN_TYPE, expected=expected, got=f"{field.type}")
        elif name and not _fits(field.type, column := table.column(name)):
            expected = f"a {column.kind} in the column {field.name}{_remedy(field.type, column.kind)}"
            raise DropError(Reason.COLUMN_TYPE, expected=expected, got=f"{field.type}")


def _remedy(stored: pa.DataType, kind: Kind) -> str:
    """How to correct the file or the contract, if only the zone of a time differs; else empty."""
    if not types.is_timestamp(stored):
        return ""
    remedies: dict[Kind, str] = {
        "timestamp_utc": " (write its times with a zone, which INT96 has not; or `timezone: false` in the contract)",
        "timestamp": " (write its times without a zone; or `timezone: true` in the contract)",
    }
    return remedies.get(kind, "")


def _fits(stored: pa.DataType, column: Column) -> bool:
    """Whether cells of the file's type can be cells of the column at all. The cast then finds single cells that do not
    fit."""
    stored = plain(stored)
    kind: Kind = column.kind
    if types.is_null(stored):
        return True
    if kind in NUMBERS:
        is_number = types.is_integer(stored) or types.is_floating(stored) or (column.number_format and is_text(stored))
        return bool(is_number or (kind in FLOATS and types.is_decimal(stored)))
    if kind in TIMES and is_text(stored):
        return True
    if kind in ("timestamp", "timestamp_utc"):
        has_zone = types.is_timestamp(stored) and stored.tz is not None
        return bool(types.is_timestamp(stored) or types.is_date(stored)) and has_zone is (kind == "timestamp_utc")
    checks: dict[Kind, Callable[[pa.DataType], bool]] = {
        "string": is_text,
        "binary": is_binary,
        "boolean": lambda stored: types.is_boolean(stored) or types.is_integer(stored),
        "date": types.is_date,
    }
    return bool(checks[kind](stored))


def typed(batch: pa.RecordBatch, first: int, table: Table) -> Parsed:
    """The batch in the contract's types; `first` is the number of its first row. Rows with misfits are quarantined."""
    schema, lines = parsed_schema(table), np.arange(first, first + batch.num_rows)
    places = {table.name_of[name]: place for place, name in enumerate(batch.schema.names)}
    shared = {
        column.name: cells
        for name in places.keys() & table.shared.keys()
        for column, cells in own_texts([_value(cell) for cell in batch.column(places[name])], table.shared[name])
    }
    arrays: list[pa.Array] = []
    wrong: dict[int, list[RuleViolation]] = {}
    for column in table.columns:
        if column.name in shared:
            cells, (values, misfits) = shared[column.name], from_csv(shared[column.name], column, CsvForm())
        elif column.name in places:
            cells = batch.column(places[column.name])
            values, misfits = _cells(cells, column, table.csv)
        else:
            values, misfits = pa.nulls(batch.num_rows, arrow_type(column.kind)), []
        arrays.append(values)
        for at in misfits:
            note_wrong_type(wrong, at, column, _value(cells[at]))
    rows = pa.Table.from_arrays([*arrays, pa.array(lines, pa.int64())], schema=schema)
    return without_wrong(rows, wrong, table, raw=lambda at: raw_row(_values(batch, at)))


def _cells(cells: pa.Array, column: Column, form: CsvForm) -> tuple[pa.Array, list[int]]:
    """The typed column, and the positions of cells that are not of its type.

    Texts may be words for missing cells, or times."""
    if pa.types.is_floating(cells.type) and NAN in column.missing_words:
        cells = pc.if_else(pc.is_nan(cells), pa.scalar(None, cells.type), cells)
    if is_text(cells.type):
        texts, wrong = cast(_unread(cells), pa.string())
        texts = without(texts, column.missing_words)
        texts = with_mapped(texts, column) if column.mapped else texts
        if column.number_format:
            typed, misfits = numbers_in_format(texts, column)
            return typed, sorted({*wrong, *misfits})
        is_read = column.kind in (*TIMES, "string")  # other texts are of a table whose column was one of texts
        typed, misfits = from_json(texts, column) if is_read else from_csv(texts, column, form)
        return without(typed, column.missing_times), sorted({*wrong, *misfits})
    if pa.types.is_decimal(cells.type):
        # Arrow would divide by a power of ten, which may miss the nearest number. A decimal's text has the same value
        # in every format.
        return numbers_from_text(cells.cast(pa.string()), column)
    if column.kind == "boolean" and pa.types.is_integer(cells.type):
        return from_text(cells.cast(pa.string()), column.kind)
    if not pa.types.is_null(cells.type):
        cells = without_numbers(cells, column)
    if pa.types.is_integer(cells.type) and column.kind in FLOATS:
        # The nearest number, as for the same digits in CSV and JSON: Arrow's safe cast refuses numbers beyond 2**53.
        return cells.cast(pa.float64(), safe=False).cast(arrow_type(column.kind)), []
    typed, misfits = cast(cells, arrow_type(column.kind))
    return without(typed, column.missing_times), misfits


def _values(batch: pa.RecordBatch, at: int) -> dict[str, Any]:
    return {name: _value(batch.column(name)[at]) for name in batch.schema.names}


def _value(cell: pa.Scalar) -> Any:
    """The cell in Python: a time that Python does not have as its number, a text that is no UTF-8 as bytes."""
    try:
        return cell.as_py()
    except UnicodeDecodeError:
        return cell.as_buffer().to_pybytes()
    except (OverflowError, ValueError, KeyError):  # KeyError: a zone that does not exist
        return cell.value


def _unread(cells: pa.Array) -> pa.Array:
    """The texts as bytes, as they are in the file: only a cast from bytes finds texts that are no UTF-8."""
    if pa.types.is_string(cells.type):
        return cells.cast(pa.binary())
    is_large = pa.types.is_large_string(cells.type) or pa.types.is_string_view(cells.type)
    return cells.cast(pa.large_binary()) if is_large else cells
