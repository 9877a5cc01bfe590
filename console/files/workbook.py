"""Workbooks (xlsx, xlsm, xlsb, xls and ods), and SQLite. A formula has the value that was last stored with it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from millrace.console.files.grid import Convertible, Grid, Inside, grid_of, stop
from millrace.errors import DropError
from millrace.files.zipped import WORKBOOKS, readable

if TYPE_CHECKING:
    from collections.abc import Sequence


ZIP, OLD = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
"""How a workbook begins: as a zip file, or as a file of an Office before 2007."""


def is_workbook(path: Path, head: bytes) -> bool:
    """Whether the file is a workbook. A damaged zip file counts as one if its name says so."""
    if head.startswith(OLD):
        return True
    if not head.startswith(ZIP):
        return False
    try:
        with readable(path) as archive:
            return bool({*archive.namelist()} & {*WORKBOOKS})
    except DropError:
        return path.suffix.lower() in (".xlsx", ".xlsm", ".xlsb", ".ods")


def read(path: Path, inside: Inside) -> Grid:
    """The rows of the sheet, the first one without a name. Rows above its names that hold one cell alone are a title.

    Raises ConfigurationError for a damaged file, one with a password, and for a sheet that is not there."""
    import python_calamine as calamine

    try:
        with calamine.CalamineWorkbook.from_path(path) as book:
            names = book.sheet_names
            name = inside.sheet or names[0]
            if name not in names:
                stop(path, "--sheet", f"one of {', '.join(names)}", name)
            sheet = book.get_sheet_by_name(name)
            top = (sheet.start or (0, 0))[0]
            cells = sheet.to_python(skip_empty_area=True)
    except calamine.PasswordError:
        stop(path, "--from", "a workbook without a password", "one with a password")
    except calamine.CalamineError as error:
        stop(path, "format", "a readable workbook", str(error)[:200])
    return _grid(path, cells, top, f"the sheet {name!r}" + f" (of {len(names)}; --sheet)" * (len(names) > 1))


def _grid(path: Path, cells: Sequence[Sequence[Any]], top: int, said: str) -> Grid:
    """`top` is the number of rows above the cells."""
    rows = [[None if cell == "" else cell for cell in row] for row in cells]
    filled = [sum(cell is not None for cell in row) for row in rows]
    titles = next((at for at, many in enumerate(filled) if many > 1), 0) if max(filled, default=0) > 2 else 0
    if not rows or not filled[titles]:
        stop(path, "rows", "names and rows", f"nothing in {said}")
    if titles:
        said += f" below row {top + titles}"
    # Columns without a name and without cells were only formatted.
    columns = zip(*rows[titles:], strict=True)
    kept = [at for at, column in enumerate(columns) if any(cell is not None for cell in column)]
    table = [[row[at] for at in kept] for row in rows[titles:]]
    while table and not any(cell is not None for cell in table[-1]):
        table.pop()
    return grid_of(path, table[0], table[1:], first=top + titles + 2, said=said)


FORMAT = Convertible(name="workbooks (xlsx, xls, ods)", options=("sheet",), begins=is_workbook, read=read)


MAGIC = b"SQLite format 3\0"
"""https://www.sqlite.org/fileformat2.html, 1.3.1"""
ALL_TABLES = "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%' ORDER BY name"


def read_database(path: Path, inside: Inside) -> Grid:
    """The rows of --sql or --table; without either those of the only table.

    Raises ConfigurationError for a damaged file, a table that is not there, and a query that SQLite does not take."""
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path.resolve()))}?mode=ro", uri=True)) as database:
            database.execute("PRAGMA query_only = ON")
            query, said = _query(path, database, inside)
            try:
                cursor = database.execute(query)
            except (sqlite3.OperationalError, sqlite3.ProgrammingError) as error:
                if not inside.sql:
                    raise
                stop(path, "--sql", "a query that SQLite takes", str(error))
            if cursor.description is None:
                stop(path, "--sql", "a SELECT", inside.sql)
            return grid_of(path, [name for name, *_ in cursor.description], cursor.fetchall(), first=1, said=said)
    except sqlite3.DatabaseError as error:
        stop(path, "format", "a readable SQLite database", str(error))


def _query(path: Path, database: sqlite3.Connection, inside: Inside) -> tuple[str, str]:
    """The query, and in words what it reads."""
    if inside.sql:
        return inside.sql, "the result of --sql"
    tables = [name for (name,) in database.execute(ALL_TABLES)]
    if inside.table and inside.table not in tables:
        stop(path, "--table", f"one of {', '.join(tables)}", inside.table)
    if not inside.table and len(tables) != 1:
        stop(path, "--table", f"one of {', '.join(tables)}, or --sql with a query" if tables else "a table", "none")
    name = inside.table or tables[0]
    quoted = name.replace('"', '""')
    return f'SELECT * FROM "{quoted}"', f"the table {name!r}"  # noqa: S608 # nosec B608 - one of the database's own names


SQLITE = Convertible(
    name="SQLite", options=("table", "sql"), begins=lambda _, head: head.startswith(MAGIC), read=read_database
)
