"""What the console knows of a format of files that hold rows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from millrace.contract.csv_form import CsvForm
from millrace.contract.schema import Table


@dataclass(frozen=True, kw_only=True)
class TableFile:
    """One format, of those that ingestion reads (`millrace/files`)."""

    column_names: Callable[[Path, CsvForm], list[str]]
    """The columns of a file, of which JSON lines say those of the first row alone; raises DropError, ValueError or
    OSError where they cannot be read."""
    write_rows: Callable[[Path, Table, Collection[int], Path], None]
    """Of a file of these rows of the table's, the rows that begin in these lines (from 1) as the file at the last path.

    Raises DropError where the table does not take the file, RunError where the lines cannot stand alone."""
    write_pieces: Callable[[Path, Table, Path, int], Iterator[Path]]
    """The file's rows as so many files in the folder, in their order, or as many as there are rows."""
