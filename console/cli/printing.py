"""Prints the output of the commands: a table for people, JSON for programs."""

from __future__ import annotations

import json
import os
from base64 import b64encode
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from millrace.tasks.figures import short

WIDE = 250
"""Characters of a line if there is no terminal."""
MOST_CELLS = 6
"""A list of at most so many cells is shown whole."""


def show_rows(rows: Sequence[Mapping[str, Any]], *, as_json: bool, nothing: str, has_words: bool = True) -> None:
    """Print a table with the columns of all rows, or a JSON array. `nothing` replaces an empty table.

    With `has_words`, `_` in the name of a column becomes a space. Without it the names stay as SQL is written with."""
    if as_json:
        show_json(list(rows))
        return
    console = _console()
    if not rows:
        console.print(literal(nothing))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    # Rows may lack columns that others have: the table has all, in the order in which they first come.
    columns = dict.fromkeys(name for row in rows for name in row)
    for name in columns:
        table.add_column(literal(name.replace("_", " ") if has_words else name), overflow="fold")
    for row in rows:
        table.add_row(*(literal(plain(row.get(name))) for name in columns))
    console.print(table)


def literal(text: str) -> Text:
    """The text for rich as it is, with control characters escaped: `\\x1b` is shown and not obeyed by the terminal.

    A plain string would not do, since rich reads `[/b]` in it as markup."""
    return Text("".join(char if char.isprintable() or char == "\n" else repr(char)[1:-1] for char in text))


def _console() -> Console:
    """A console of the terminal's width. A pipe or a log has no width: it gets WIDE, so that a row is a line."""
    console = Console()
    return console if console.is_terminal or "COLUMNS" in os.environ else Console(width=WIDE)


def show_json(value: Any) -> None:
    """Print the value as JSON, with times in ISO 8601 and bytes in base64."""
    print(json.dumps(value, indent=1, default=in_json))


def plain(value: Any) -> str:
    """The value as text for people: "" for None, and the first two cells and the last of a long list."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, float):
        return short(value)
    # A bool is an int to Python.
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, bytes):
        return f"{len(value):,} bytes"
    if isinstance(value, list | tuple):
        cells = [plain(one) for one in value]
        return ", ".join(cells if len(cells) <= MOST_CELLS else [*cells[:2], "…", cells[-1]])
    return str(value)


def in_json(value: Any) -> str:
    """The text for a value that JSON does not know: a time in ISO 8601, bytes such as those of an image in base64.

    Raises TypeError for any other value."""
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, bytes):
        return b64encode(value).decode()
    raise TypeError(f"expected a value that JSON has, got {type(value).__name__}")
