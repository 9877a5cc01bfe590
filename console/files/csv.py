"""CSV files. A record has several lines if a quoted cell has, and the first record follows the line of names."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import accumulate
from pathlib import Path

from millrace.console.files.table_file import TableFile, first_line, marked, write_pieces, write_records
from millrace.contract.csv_form import CsvForm
from millrace.contract.schema import LINE, Table
from millrace.errors import RunError
from millrace.files.csv import names_of, span_of
from millrace.files.lines import lines_of
from millrace.files.parsed import Limits
from millrace.files.sniff import read_drop


def _column_names(file: Path, form: CsvForm) -> list[str]:
    return names_of(first_line(file).decode(form.encoding).encode(), form)


def _write_rows(dropped: Path, table: Table, wanted: Collection[int], path: Path) -> None:
    texts = write_records(dropped, _begun(dropped, table), wanted, path, has_names=not table.csv.columns)
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


def _write_pieces(source: Path, table: Table, folder: Path, count: int) -> Iterator[Path]:
    mark, data = marked(source)
    records = list(_records(data, table))
    # Blank lines before the names stay with them, so that line n of the first piece is line n of the file.
    names = 0 if table.csv.columns else 1 + next(at for at, record in enumerate(records) if record.strip())
    yield from write_pieces(source, mark + b"".join(records[:names]), records[names:], folder, count)


def _records(data: bytes, table: Table) -> Iterator[bytes]:
    """The records with their line ends; the lines of a quoted cell stay together."""
    # `whole` keeps the line ends as they are in the file. `lines` has none and is only for finding the quotes.
    whole = [line + b"\n" for line in data.split(b"\n")]
    whole[-1] = whole[-1].removesuffix(b"\n")
    lines, at, limits = lines_of(data), 0, Limits(line_bytes=len(data) + 1)
    while at < len(lines):
        # The span is 0 or -1 if a quote never closes. Then the line is taken alone.
        span = max(1, span_of(lines, at, table.csv, limits))
        yield b"".join(whole[at : at + span])
        at += span


FORMAT = TableFile(column_names=_column_names, write_rows=_write_rows, write_pieces=_write_pieces)
