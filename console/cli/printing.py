"""Output of the commands: a table for people, JSON for programs."""

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
"""Columns where there is no terminal."""
MOST_CELLS = 6
"""Of a list that is shown whole."""


def show_rows(rows: Sequence[Mapping[str, Any]], *, as_json: bool, nothing: str, has_words: bool = True) -> None:
    """Print a table with the columns of all rows, or a JSON array; `nothing` replaces an empty table.

    Without `has_words` the columns have the very names of a table, which SQL is written with."""
    if as_json:
        show_json(list(rows))
        return
    console = _console()
    if not rows:
        console.print(literal(nothing))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    columns = dict.fromkeys(name for row in rows for name in row)
    for name in columns:
        table.add_column(literal(name.replace("_", " ") if has_words else name), overflow="fold")
    for row in rows:
        table.add_row(*(literal(plain(row.get(name))) for name in columns))
    console.print(table)


def literal(text: str) -> Text:
    """The text as it is: rich reads a string with `[/b]` as markup, and a terminal obeys control characters."""
    return Text("".join(char if char.isprintable() or char == "\n" else repr(char)[1:-1] for char in text))


def _console() -> Console:
    """A pipe or a log has no width: there a row is a line."""
    console = Console()
    return console if console.is_terminal or "COLUMNS" in os.environ else Console(width=WIDE)


def show_json(value: Any) -> None:
    """Times in ISO 8601, bytes in base64."""
    print(json.dumps(value, indent=1, default=in_json))


def plain(value: Any) -> str:
    """The value as text for people; empty for None, of a long list its first two cells and the last."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, float):
        return short(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, bytes):
        return f"{len(value):,} bytes"
    if isinstance(value, list | tuple):
        cells = [plain(one) for one in value]
        return ", ".join(cells if len(cells) <= MOST_CELLS else [*cells[:2], "…", cells[-1]])
    return str(value)


def in_json(value: Any) -> str:
    """The text for a value that JSON has not: a time in ISO 8601, bytes, as of an image, in base64."""
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, bytes):
        return b64encode(value).decode()
    raise TypeError(f"expected a value that JSON has, got {type(value).__name__}")
