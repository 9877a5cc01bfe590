"""What the console can do with a format of files that hold rows. Text files are records of one line or several."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from millrace.contract.csv_form import CsvForm
from millrace.contract.schema import Table
from millrace.errors import RunError
from millrace.files.lines import BOM
from millrace.files.sniff import HEAD_BYTES


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


def first_line(file: Path) -> bytes:
    """The first line of the file that is not blank."""
    with file.open("rb") as opened:
        head = opened.read(HEAD_BYTES)
    return head.removeprefix(BOM).lstrip().partition(b"\n")[0]


def marked(file: Path) -> tuple[bytes, bytes]:
    """The file's byte order mark, or nothing, and the bytes after it."""
    data = file.read_bytes()
    mark = BOM if data.startswith(BOM) else b""
    return mark, data.removeprefix(mark)


def write_records(
    dropped: Path, begun: Sequence[int], wanted: Collection[int], path: Path, *, has_names: bool
) -> list[bytes]:
    """Write the records that begin in the `wanted` lines to `path`; returns the texts that were written.

    `begun` are the lines, from 1, in which the file's records begin. With `has_names`, what stands before the first
    record comes first.
    Raises RunError if no record begins in a wanted line."""
    mark, data = marked(dropped)
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


def write_pieces(source: Path, head: bytes, records: Sequence[bytes], folder: Path, count: int) -> Iterator[Path]:
    """Write the records as `count` files, each with `head` at its beginning; at most one file for each record."""
    count = min(count, len(records))
    edges = [len(records) * number // count for number in range(count + 1)]
    for number in range(count):
        path = folder / f"{source.stem}-{number + 1:03}{source.suffix}"
        path.write_bytes(head + b"".join(records[edges[number] : edges[number + 1]]))
        yield path
