"""The formats of files that hold rows: names of columns, some of the rows, and pieces of a file.

Text files are records of one line or several; a row of Parquet is found by its place. An image is a row by itself and
has no entry here."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from millrace.contract.csv_form import CsvForm
from millrace.contract.schema import LINE, Table
from millrace.errors import RunError
from millrace.files import csv
from millrace.files.catalogue import FORMATS, HEAD_BYTES, named, read_drop
from millrace.files.lines import BOM, lines_of
from millrace.files.parsed import Limits


@dataclass(frozen=True, kw_only=True)
class TableFile:
    """One of the formats that ingestion reads (`millrace/files`)."""

    column_names: Callable[[Path, CsvForm], list[str]]
    """The names of a file's columns; of JSON lines only those of the first row. Raises DropError, ValueError or OSError
    if they cannot be read."""
    write_rows: Callable[[Path, Table, Collection[int], Path], None]
    """Called with a file, its table, lines counted from 1, and a path. Writes the rows that begin in these lines to the
    path.

    Raises DropError if the table does not accept the file, and RunError if the lines cannot stand alone."""
    write_pieces: Callable[[Path, Table, Path, int], Iterator[Path]]
    """Called with a file, its table, a folder and a number. Yields so many new files in the folder, with the file's
    rows in their order; at most one file for each row."""


def _first_line(file: Path) -> bytes:
    """The first line of the file that is not blank."""
    with file.open("rb") as opened:
        head = opened.read(HEAD_BYTES)
    return head.removeprefix(BOM).lstrip().partition(b"\n")[0]


def _marked(file: Path) -> tuple[bytes, bytes]:
    """The file's byte order mark, or nothing, and the bytes after it."""
    data = file.read_bytes()
    mark = BOM if data.startswith(BOM) else b""
    return mark, data.removeprefix(mark)


def _write_records(
    dropped: Path, begun: Sequence[int], wanted: Collection[int], path: Path, *, has_names: bool
) -> list[bytes]:
    """Write the records that begin in the `wanted` lines to `path`; returns the texts that were written.

    `begun` are the lines, from 1, in which the file's records begin. With `has_names`, what stands before the first
    record comes first.
    Raises RunError if no record begins in a wanted line."""
    mark, data = _marked(dropped)
    lines = data.split(b"\n")
    # By the line in which a record begins: the line in which the next one begins.
    ends = dict(zip(begun, [*begun[1:], len(lines) + 1], strict=True))
    if other := sorted(set(wanted) - ends.keys()):
        expected = "records where they were when the file was dropped"
        raise RunError(f"--rows: expected {expected}, by the contract as it is now none begins in line {other[0]}")
    records = [b"\n".join(lines[line - 1 : ends[line] - 1]) for line in sorted(wanted)]
    # Blank lines before the names stay with them.
    head = lines[: begun[0] - 1] if has_names and begun else []
    # The last record of the file may have no line end.
    texts = [text.rstrip(b"\n") + b"\n" for text in [*head, *records]]
    path.write_bytes(mark + b"".join(texts))
    return texts


def _pieces(source: Path, folder: Path, rows: int, count: int) -> Iterator[tuple[Path, slice]]:
    """The path of each piece and its rows. The sizes of two pieces differ by one row at most."""
    count = min(count, rows)
    for number in range(count):
        path = folder / f"{source.stem}-{number + 1:03}{source.suffix}"
        yield path, slice(rows * number // count, rows * (number + 1) // count)


def _write_pieces(source: Path, head: bytes, records: Sequence[bytes], folder: Path, count: int) -> Iterator[Path]:
    """Write the records as files, each with `head` at its beginning."""
    for path, part in _pieces(source, folder, len(records), count):
        path.write_bytes(head + b"".join(records[part]))
        yield path


def _csv_names(file: Path, form: CsvForm) -> list[str]:
    return csv.names_of(_first_line(file).decode(form.encoding).encode(), form)


def _write_csv_rows(dropped: Path, table: Table, wanted: Collection[int], path: Path) -> None:
    texts = _write_records(dropped, _begun(dropped, table), wanted, path, has_names=not table.csv.columns)
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


def _write_csv_pieces(source: Path, table: Table, folder: Path, count: int) -> Iterator[Path]:
    mark, data = _marked(source)
    records = list(_records(data, table))
    # Blank lines before the names stay with them, so that line n of the first piece is line n of the file.
    names = 0 if table.csv.columns else 1 + next(at for at, record in enumerate(records) if record.strip())
    yield from _write_pieces(source, mark + b"".join(records[:names]), records[names:], folder, count)


def _records(data: bytes, table: Table) -> Iterator[bytes]:
    """The records with their line ends; the lines of a quoted cell stay together."""
    # `whole` keeps the line ends as they are in the file. `lines` has none and is only for finding the quotes.
    whole = [line + b"\n" for line in data.split(b"\n")]
    whole[-1] = whole[-1].removesuffix(b"\n")
    lines, at, limits = lines_of(data), 0, Limits(line_bytes=len(data) + 1)
    while at < len(lines):
        # The span is 0 or -1 if a quote never closes. Then the line is taken alone.
        span = max(1, csv.span_of(lines, at, table.csv, limits))
        yield b"".join(whole[at : at + span])
        at += span


def _json_names(file: Path, _: CsvForm) -> list[str]:
    return list(json.loads(_first_line(file)))


def _write_json_rows(dropped: Path, _: Table, wanted: Collection[int], path: Path) -> None:
    lines = dropped.read_bytes().count(b"\n") + 1
    _write_records(dropped, range(1, lines + 1), wanted, path, has_names=False)


def _write_json_pieces(source: Path, _: Table, folder: Path, count: int) -> Iterator[Path]:
    mark, data = _marked(source)
    # What follows the last line end is a record only if it is not empty.
    *lines, last = [line + b"\n" for line in data.split(b"\n")]
    records = [*lines, *([last.removesuffix(b"\n")] if last != b"\n" else [])]
    yield from _write_pieces(source, mark, records, folder, count)


def _parquet_names(file: Path, _: CsvForm) -> list[str]:
    from millrace.files.parquet import footer_of

    return list(footer_of(file).schema.names)


def _write_parquet_rows(dropped: Path, table: Table, wanted: Collection[int], path: Path) -> None:
    """Write the wanted rows with the columns that the contract reads.

    Ignored columns are left out: they say nothing, and Arrow may not be able to take rows of them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from millrace.files.parquet import footer_of
    from millrace.files.row_batches import unit_of_int96

    footer_of(dropped)
    metadata = pq.read_metadata(dropped)
    read = [name for name in metadata.schema.to_arrow_schema().names if table.name_of.get(name)]
    unit = unit_of_int96(dropped, metadata, read)
    rows = pq.ParquetFile(dropped, coerce_int96_timestamp_unit=unit).read(columns=read)
    for place, field in enumerate(rows.schema):
        if pa.types.is_string_view(field.type):  # Arrow takes no rows of these
            rows = rows.set_column(place, field.name, rows[field.name].cast(pa.large_string()))
        elif pa.types.is_binary_view(field.type):
            rows = rows.set_column(place, field.name, rows[field.name].cast(pa.large_binary()))
    # Lines count from 1, rows of Arrow from 0.
    kept = rows.take(pa.array([line - 1 for line in sorted(wanted)], pa.int64()))
    pq.write_table(kept, path, write_page_checksum=True)


def _write_parquet_pieces(source: Path, _: Table, folder: Path, count: int) -> Iterator[Path]:
    import pyarrow.parquet as pq

    rows = pq.read_table(source)
    for path, part in _pieces(source, folder, rows.num_rows, count):
        pq.write_table(rows.slice(part.start, part.stop - part.start), path, write_page_checksum=True)
        yield path


TABLE_FILES: Mapping[str, TableFile] = {
    "csv": TableFile(column_names=_csv_names, write_rows=_write_csv_rows, write_pieces=_write_csv_pieces),
    "jsonlines": TableFile(column_names=_json_names, write_rows=_write_json_rows, write_pieces=_write_json_pieces),
    "parquet": TableFile(
        column_names=_parquet_names, write_rows=_write_parquet_rows, write_pieces=_write_parquet_pieces
    ),
}
"""By the names that `FORMATS` gives the formats."""
TABLES = named(FORMATS[key] for key in TABLE_FILES)
"""The formats in words: `CSV, TSV, JSON lines or Parquet`."""
