"""What the console can do with one format of files that hold rows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from millrace.contract.csv_form import CsvForm
from millrace.contract.schema import Table


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
