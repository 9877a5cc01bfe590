"""The formats of files that hold rows: names of columns, some of the rows, and pieces of a file.

Text files are records of one line or several; a row of Parquet is found by its place. An image is a row by itself and
has no entry here."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from millrace.contract.csv_form import CsvForm
from millrace.contract.schema import LINE, Column, Table
from millrace.errors import DropError, RunError
from millrace.files import csv
from millrace.files.catalogue import FORMATS, HEAD_BYTES, named, read_drop
from millrace.files.lines import BOM


@dataclass(frozen=True, kw_only=True)
class TableFile:
    """One of the formats that ingestion reads (`millrace/files`)."""

    column_names: Callable[[Path, CsvForm], list[str]]
    """The names of a file's columns; of JSON lines only those of the first row. Raises DropError, ValueError or OSError
    if they cannot be read."""
    begun: Callable[[Path, Table], Sequence[int]]
    """Called with a file and its table. The lines, from 1, in which its rows begin. Raises DropError if the table does
    not accept the file."""
    write_rows: Callable[[Path, Table, Collection[int], Path, bool], None]
    """Called with a file, its table, lines counted from 1, a path and whether the rows get a number. Writes the rows
    that begin in these lines to the path; with a number each has its line as LINE, since who mends the file may sort it
    or leave rows out. A file that has LINE keeps its.

    Raises DropError if the table does not accept the file, and RunError if the lines cannot stand alone."""


def head_of(file: Path) -> bytes:
    """The beginning of the file, by which its format is known."""
    with file.open("rb") as opened:
        return opened.read(HEAD_BYTES)


def _first_line(file: Path) -> bytes:
    """The first line of the file that is not blank."""
    return head_of(file).removeprefix(BOM).lstrip().partition(b"\n")[0]


def _marked(file: Path) -> tuple[bytes, bytes]:
    """The file's byte order mark, or nothing, and the bytes after it."""
    data = file.read_bytes()
    mark = BOM if data.startswith(BOM) else b""
    return mark, data.removeprefix(mark)


def _write_records(
    dropped: Path,
    begun: Sequence[int],
    wanted: Collection[int],
    path: Path,
    beside: Callable[[bytes, object], bytes],
) -> list[bytes]:
    """Write the records that begin in the `wanted` lines to `path`; returns the texts that were written.

    `begun` are the lines, from 1, in which the file's records begin. `beside` puts the line of a record into its text.
    What stands before the first record comes first.
    Raises RunError if no record begins in a wanted line."""
    mark, data = _marked(dropped)
    lines = data.split(b"\n")
    # By the line in which a record begins: the line in which the next one begins.
    ends = dict(zip(begun, [*begun[1:], len(lines) + 1], strict=True))
    if other := sorted(set(wanted) - ends.keys()):
        expected = "records where they were when the file was dropped"
        raise RunError(f"--rows: expected {expected}, by the contract as it is now none begins in line {other[0]}")
    records = [beside(b"\n".join(lines[line - 1 : ends[line] - 1]), line) for line in sorted(wanted)]
    # Blank lines before the names stay with them.
    head = [beside(text, LINE) if text.strip() else text for text in lines[: begun[0] - 1]] if begun else []
    # The last record of the file may have no line end.
    texts = [text.rstrip(b"\n") + b"\n" for text in [*head, *records]]
    path.write_bytes(mark + b"".join(texts))
    return texts


def cut_into(source: Path, form: TableFile, table: Table, folder: Path, count: int) -> Iterator[Path]:
    """Write the file's rows, in their order, as so many new files in the folder; at most one file for each row."""
    begun = form.begun(source, table)
    count = min(count, len(begun))
    for number in range(count):
        path = folder / f"{source.stem}-{number + 1:03}{source.suffix}"
        # The sizes of two pieces differ by one row at most.
        part = slice(len(begun) * number // count, len(begun) * (number + 1) // count)
        form.write_rows(source, table, begun[part], path, False)
        yield path


def _csv_names(file: Path, form: CsvForm) -> list[str]:
    return csv.names_of(_first_line(file).decode(form.encoding).encode(), form)


def _write_csv_rows(dropped: Path, table: Table, wanted: Collection[int], path: Path, is_numbered: bool) -> None:
    has_line = not is_numbered or bool(table.csv.columns) or LINE in _csv_names(dropped, table.csv)

    def beside(text: bytes, cell: object) -> bytes:
        return text if has_line else f"{cell}{table.csv.delimiter}".encode() + text

    texts = _write_records(dropped, _begun(dropped, table), wanted, path, beside)
    if is_numbered:
        _check_apart(path, table, texts, sorted(wanted))


def _begun(dropped: Path, table: Table) -> list[int]:
    """The lines at which the file's records begin, in order.

    Only the reader can tell: a quote character may begin a quoted cell or be a part of a cell."""
    found: set[int] = set()
    for part in read_drop(dropped, table):
        found |= {*part.rows[LINE].to_pylist(), *(row.line for row in part.unparsable if row.line is not None)}
    return sorted(found)


def _check_apart(path: Path, table: Table, texts: Sequence[bytes], wanted: Sequence[int]) -> None:
    """Raise RunError, and delete the file, if a stray quote joins two records that now follow each other."""
    # Where each record begins in the new file: after all lines of the texts before it. The file's own reader must find
    # a record at each of these lines.
    begun = [1 + lines for lines in accumulate((text.count(b"\n") for text in texts), initial=0)][:-1]
    came = set(_begun(path, table))
    # Compared from the end: `begun` also has the lines before the first record, which are in no `wanted`.
    if joined := [line for line, begins in zip(wanted[::-1], begun[::-1], strict=False) if begins not in came]:
        path.unlink()
        raise RunError(
            "--rows: expected rows that can stand beside each other, got a quote that takes in line "
            f"{joined[-1]} of the dropped file: mend them by hand, as `millrace quarantine` shows them"
        )


def first_lines(file: Path, table: Table) -> dict[int, int]:
    """By the line of each row of a file that mends rows: the line in which its first file had it, as LINE says.

    Empty for a file without LINE."""
    names = tuple(name for name in table.name_of if name != LINE)
    # A workbook has whole numbers as floats. No column of a contract begins with `_`.
    first = Column(name="_first", physical_name=LINE, kind="float64")
    found = dict[int, float | None]()
    with suppress(DropError):
        for part in read_drop(file, Table(name=table.name, columns=(first,), csv=table.csv, ignored=names)):
            found |= zip(part.rows[LINE].to_pylist(), part.rows["_first"].to_pylist(), strict=True)
    return {own: int(line) for own, line in found.items() if line is not None}


def _json_names(file: Path, _: CsvForm) -> list[str]:
    return list(json.loads(_first_line(file)))


def _json_begun(file: Path, _: Table) -> list[int]:
    return [line for line, text in enumerate(file.read_bytes().removeprefix(BOM).split(b"\n"), 1) if text.strip()]


def _write_json_rows(dropped: Path, table: Table, wanted: Collection[int], path: Path, is_numbered: bool) -> None:
    def beside(text: bytes, cell: object) -> bytes:
        # A line that is no object stays as it is: nobody knows where its fields begin.
        has_fields = (
            is_numbered and text.lstrip().startswith(b"{") and b'"' in text and f'"{LINE}"'.encode() not in text
        )
        return text.replace(b"{", f'{{"{LINE}": {cell}, '.encode(), 1) if has_fields else text

    _write_records(dropped, _json_begun(dropped, table), wanted, path, beside)


def _parquet_names(file: Path, _: CsvForm) -> list[str]:
    from millrace.files.parquet import footer_of

    return list(footer_of(file).schema.names)


def _parquet_begun(file: Path, _: Table) -> range:
    from millrace.files.parquet import footer_of

    return range(1, footer_of(file).rows + 1)


def _write_parquet_rows(dropped: Path, table: Table, wanted: Collection[int], path: Path, is_numbered: bool) -> None:
    """Write the wanted rows; those with a number with the columns that the contract reads.

    Ignored columns are left out: they say nothing, and Arrow may not be able to take rows of them."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    from millrace.files.parquet import footer_of
    from millrace.files.row_batches import unit_of_int96

    footer_of(dropped)
    metadata = pq.read_metadata(dropped)
    names = metadata.schema.to_arrow_schema().names
    read = [name for name in names if not is_numbered or table.name_of.get(name) or name == LINE]
    unit = unit_of_int96(dropped, metadata, read)
    rows = pq.ParquetFile(dropped, coerce_int96_timestamp_unit=unit).read(columns=read)
    for place, field in enumerate(rows.schema):
        if pa.types.is_string_view(field.type):  # Arrow takes no rows of these
            rows = rows.set_column(place, field.name, rows[field.name].cast(pa.large_string()))
        elif pa.types.is_binary_view(field.type):
            rows = rows.set_column(place, field.name, rows[field.name].cast(pa.large_binary()))
    # Lines count from 1, rows of Arrow from 0.
    lines = pa.array(sorted(wanted), pa.int64())
    kept = rows.take(pc.subtract(lines, 1))
    kept = kept if LINE in read or not is_numbered else kept.append_column(LINE, lines)
    pq.write_table(kept, path, write_page_checksum=True)


TABLE_FILES: Mapping[str, TableFile] = {
    "csv": TableFile(column_names=_csv_names, begun=_begun, write_rows=_write_csv_rows),
    "jsonlines": TableFile(column_names=_json_names, begun=_json_begun, write_rows=_write_json_rows),
    "parquet": TableFile(column_names=_parquet_names, begun=_parquet_begun, write_rows=_write_parquet_rows),
}
"""By the names that `FORMATS` gives the formats."""
TABLES = named(FORMATS[key] for key in TABLE_FILES)
"""The formats in words: `CSV, TSV, JSON lines or Parquet`."""
