"""The rows of a table of PostgreSQL, in the order of the cursor."""

from __future__ import annotations

import json
from collections.abc import Generator
from typing import Any

from pg8000.exceptions import Error

from millrace.consumers.postgres import PostgresTable
from millrace.errors import SourceError

TIMEOUT_S = 120
"""How long a statement may take, in seconds. The first one sorts the rows, unless the cursor has an index."""
PIECE = 100
"""The rows that are read together."""


def rows(name: str, source: PostgresTable, cursor: str, after: object, secret: str) -> Generator[dict[str, Any]]:
    """The rows at or after the cursor's value. Raises SourceError if the database refuses."""
    where = f"postgres {source.host}/{source.database}"
    # Names come from the declaration, whose patterns hold no quote; the value is a parameter.
    column, table = f'"{cursor}"', source.quoted_table
    without = f"SELECT 1 FROM {table} WHERE {column} IS NULL LIMIT 1"  # noqa: S608 # nosec B608
    select = f"SELECT row_to_json(t)::text FROM {table} t"  # noqa: S608 # nosec B608
    since, given = ("", {}) if after is None else (f" WHERE {column} >= :after", {"after": str(after)})
    try:
        with source.session(secret, TIMEOUT_S) as connection:
            for statement in ("START TRANSACTION READ ONLY", "SET LOCAL TIME ZONE 'UTC'"):
                connection.run(statement)
            if connection.run(without):
                raise SourceError(name, cursor, f"a value in each row of {source.table}", "null")
            connection.run(f"DECLARE fresh NO SCROLL CURSOR FOR {select}{since} ORDER BY {column}", **given)
            while piece := connection.run(f"FETCH {PIECE} FROM fresh"):
                yield from (json.loads(row) for (row,) in piece)
    except (Error, OSError) as error:
        raise SourceError(name, where, f"rows of {source.table}", f"{type(error).__name__}: {error}") from error
