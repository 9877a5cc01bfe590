"""Rows of a file that the cloud does not read, such as a workbook: as texts to look at, as JSON lines to drop.

Of a file that holds several tables, what is read of it is said."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, time, timedelta
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from millrace.contract.csv_form import CsvForm, numbered
from millrace.contract.kinds import FLOATS, INTEGERS, TIMES
from millrace.contract.schema import Column, Table
from millrace.errors import ConfigurationError

if TYPE_CHECKING:
    import pyarrow as pa


MOST_WHOLE = 2**53
"""Every whole number to here has a double of its own: a float below it is written without decimals if it has none."""
TRUTH = {"true": True, "1": True, "false": False, "0": False}


def stop(path: Path, field: str, expected: str, came: object) -> NoReturn:
    """Raise ConfigurationError about a file of rows or a folder of images."""
    raise ConfigurationError(where=path.name, field=field, expected=expected, came=came)


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Names and rows. A cell is a text, a number, a boolean, a time, or None."""

    path: Path
    names: tuple[str, ...]
    """Each name comes once and is not empty: one that comes again has a number behind it."""
    rows: Sequence[Sequence[Any]]
    first: int
    """The number of the first row in the file, from 1: in a sheet the row under the names."""
    said: str
    """Where the rows stand, and what is left out: `the sheet 'May'`."""

    @property
    def note(self) -> str:
        return f"{self.said} of {self.path.name} goes as JSON lines; line n there is row n here"

    def without(self, names: Sequence[str]) -> Grid:
        """The same rows without these columns."""
        kept = [at for at, name in enumerate(self.names) if name not in names]
        rows = [[row[at] for at in kept] for row in self.rows]
        return replace(self, names=tuple(self.names[at] for at in kept), rows=rows)

    def texts(self) -> pa.Table:
        """All cells as texts, as CSV would have them."""
        import pyarrow as pa

        columns = zip(*([text_of(cell) for cell in row] for row in self.rows), strict=True)
        cells = [pa.array(column, pa.string()) for column in columns] or [pa.array([], pa.string())] * len(self.names)
        return pa.table(cells, names=list(self.names))

    def write(self, table: Table, path: Path) -> None:
        """Write JSON lines with cells as the table's columns have them. Row n is line n; lines before it are blank."""
        known = {name: own for name, own in table.name_of.items() if own and own not in table.shared}
        columns = [table.column(known[name]) if name in known else None for name in self.names]
        with path.open("w", encoding="utf-8") as file:
            file.write("\n" * (self.first - 1))
            file.writelines(f"{line}\n" for line in self._lines(columns, table.csv))

    def _lines(self, columns: Sequence[Column | None], form: CsvForm) -> Iterator[str]:
        for row in self.rows:
            cells = [_json_cell(cell, column, form) for cell, column in zip(row, columns, strict=True)]
            there = {name: cell for name, cell in zip(self.names, cells, strict=True) if cell is not None}
            yield json.dumps(there, ensure_ascii=False) if there else ""


def grid_of(path: Path, names: Sequence[object], rows: Sequence[Sequence[Any]], *, first: int, said: str) -> Grid:
    """The grid of these names and rows. A column without a name is called by its place: `column_3`.

    Raises ConfigurationError for no rows, and for bytes in a cell."""
    called = numbered([str(name or "").strip() or f"column_{place}" for place, name in enumerate(names, 1)])
    if not rows:
        stop(path, "rows", "rows under the names", f"none in {said}")
    for name, column in zip(called, zip(*rows, strict=True), strict=True):
        if (at := next((at for at, cell in enumerate(column) if isinstance(cell, bytes)), None)) is not None:
            stop(path, name, "numbers, texts and times", f"bytes in row {first + at}")
    return Grid(path=path, names=tuple(called), rows=rows, first=first, said=said)


def text_of(cell: Any) -> str | None:
    """The cell as CSV has it: `3.0` as `3`, times in ISO 8601. None for an empty cell."""
    if isinstance(cell, str):
        return cell.strip() or None
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < MOST_WHOLE else repr(cell)
    if isinstance(cell, date | time):
        return cell.isoformat()
    return None if cell is None else str(cell)


def _json_cell(cell: Any, column: Column | None, form: CsvForm) -> object:
    """The cell as JSON lines of the column have it; as it is, where it is of another type: then its row is refused."""
    text = text_of(cell)
    if text is None or column is None:
        return text if (isinstance(cell, str | date | time | timedelta) or not _is_finite(cell)) else cell
    if column.kind == "string" or column.kind in TIMES:
        return text
    if column.kind == "boolean":
        return TRUTH.get(text.lower(), text)
    number = _number(cell, text, column, form)
    return number if number is not None and _is_finite(number) else text


def _number(cell: Any, text: str, column: Column, form: CsvForm) -> int | float | None:
    """The number that the cell holds; None for none of the column's type.

    A text has the marks of the table's CSV files, unless the column has a format of its own, which the reader knows."""
    if isinstance(cell, str) and column.number_format:
        return None
    number = (form if isinstance(cell, str) else CsvForm()).value_of(text)
    return number if (column.kind in FLOATS or (column.kind in INTEGERS and isinstance(number, int))) else None


def _is_finite(cell: object) -> bool:
    """Whether JSON has a word for the cell: it has none for NaN and infinity."""
    return not isinstance(cell, float) or isfinite(cell)


@dataclass(frozen=True, kw_only=True)
class Inside:
    """The options of a person; empty for those that were not given."""

    sheet: str = ""
    table: str = ""
    sql: str = ""


@dataclass(frozen=True, kw_only=True)
class Convertible:
    """A format that the console turns into JSON lines, since ingestion does not read it."""

    name: str
    """For people."""
    options: tuple[str, ...]
    """The fields of `Inside` that such a file takes."""
    begins: Callable[[Path, bytes], bool]
    """Whether the file at the path, which begins with these bytes, has this format."""
    read: Callable[[Path, Inside], Grid]
    """Raises ConfigurationError for a file that cannot be read."""
