"""SQLite: a table, a view, or the result of a query. The file is opened for reading alone."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from millrace.console.files.grid import Convertible, Grid, Inside, grid_of, stop

MAGIC = b"SQLite format 3\0"
"""https://www.sqlite.org/fileformat2.html, 1.3.1"""
TABLES = "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%' ORDER BY name"


def read(path: Path, inside: Inside) -> Grid:
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
    tables = [name for (name,) in database.execute(TABLES)]
    if inside.table and inside.table not in tables:
        stop(path, "--table", f"one of {', '.join(tables)}", inside.table)
    if not inside.table and len(tables) != 1:
        stop(path, "--table", f"one of {', '.join(tables)}, or --sql with a query" if tables else "a table", "none")
    name = inside.table or tables[0]
    quoted = name.replace('"', '""')
    return f'SELECT * FROM "{quoted}"', f"the table {name!r}"  # noqa: S608 # nosec B608 - one of the database's own names


FORMAT = Convertible(name="SQLite", options=("table", "sql"), begins=lambda _, head: head.startswith(MAGIC), read=read)
