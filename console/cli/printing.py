"""Prints the output of the commands: a table for people, JSON for programs."""

from __future__ import annotations

import csv
import json
import os
import re
import textwrap
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from millrace.console.words import table
from millrace.errors import EnvironmentNotFoundError
from millrace.tasks.figures import short

if TYPE_CHECKING:
    import pyarrow as pa


WIDE = 250
"""Characters of a line if there is no terminal."""
UNBOUNDED = 1_000_000
"""The width at which a table is measured: nothing in it is wrapped."""
WRAPPED = 24
"""Least characters of a column whose cells are wrapped at spaces. In fewer a sentence is a column of single words."""
NAME = 12
"""The name of a column is wrapped at spaces to so many characters, if its cells have no more."""
MOST_CELLS = 6
"""A list of at most so many cells is shown whole."""


def show_rows(rows: Sequence[Mapping[str, Any]], *, as_json: bool, nothing: str, has_words: bool = True) -> None:
    """Print a table with the columns of all rows, or a JSON array. `nothing` replaces an empty table.

    Where a terminal is too narrow for the table, each row is a record: a name and a value per line.
    With `has_words`, `_` in the name of a column becomes a space. Without it the names stay as SQL is written with."""
    if as_json:
        show_json(list(rows))
        return
    console = _console()
    if not rows:
        console.print(literal(nothing))
        return
    shown = Table(box=None, pad_edge=False, header_style="bold")
    # Rows may lack columns that others have: the table has all, in the order in which they first come.
    columns = dict.fromkeys(name for row in rows for name in row)
    names = [literal(name.replace("_", " ") if has_words else name) for name in columns]
    cells = [[literal(plain(row.get(name))) for name in columns] for row in rows]
    for name in names:
        shown.add_column(name, overflow="fold")
    for row_cells in cells:
        shown.add_row(*row_cells)
    if _fits(console, shown):
        console.print(shown)
    elif console.is_terminal:
        _show_records(console, names, cells)
    else:
        # Nobody pages through a pipe: a long line is read by programs, a column of five letters by nobody.
        Console(width=UNBOUNDED).print(shown)


def show(rows: Iterable[Any], *, as_json: bool, nothing: str) -> None:
    """Print a table of the columns that the rows declare, or a JSON array of all that they hold."""
    found = list(rows)
    show_rows([asdict(one) for one in found] if as_json else table(found), as_json=as_json, nothing=nothing)


def _fits(console: Console, table: Table) -> bool:
    """Whether the terminal can show the table without breaking a word such as an id.

    Where it is too narrow for the whole lines, wraps the names and sets how far the columns may be narrowed."""
    unbounded = console.options.update(width=UNBOUNDED)
    if console.measure(table, options=unbounded).maximum <= console.width:
        return True
    for column in table.columns:
        _, line = console.measure(Group(*column.cells), options=unbounded)
        column.header = Text("\n".join(_wrap(str(column.header), max(line, NAME))))
        word, line = console.measure(Group(column.header, *column.cells), options=unbounded)
        # rich narrows the widest columns first, whatever words they have: a column with a long word is not narrowed.
        column.no_wrap = line <= WRAPPED or word > WRAPPED
        column.min_width = line if column.no_wrap else WRAPPED
    return console.measure(table, options=unbounded).minimum <= console.width


def _show_records(console: Console, names: Sequence[Text], rows: Sequence[Sequence[Text]]) -> None:
    """Print a name and a value per line, and an empty line between rows. A long value is wrapped at spaces alone."""
    indent = max(name.cell_len for name in names) + 2
    for number, cells in enumerate(rows):
        if number:
            console.print()
        for name, cell in zip(names, cells, strict=True):
            first, *others = _wrap(cell.plain, max(console.width - indent, WRAPPED)) or [""]
            # A cell without a name is the mark of its row: it stands first, and alone.
            line = Text.assemble((name.plain, "bold"), " " * (indent - name.cell_len), first) if name else Text(first)
            line.rstrip()
            # A word that is longer than the line runs over its end: without a line break in it, it can be copied.
            console.print(line, soft_wrap=True)
            for text in others:
                console.print(Text(" " * indent + text), soft_wrap=True)


def _wrap(text: str, width: int) -> list[str]:
    """The lines of the text, wrapped at spaces to the width. A longer word is a line of its own."""
    return [
        line
        for given in text.splitlines()
        for line in textwrap.wrap(given, width, break_long_words=False, break_on_hyphens=False) or [""]
    ]


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


def tell(words: str, document: Any, *, as_json: bool) -> None:
    """Print what was done: in words, or the document as JSON."""
    show_json(document) if as_json else print(words)


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


def in_json(value: Any) -> str | float:
    """For a value that JSON does not know: a time in ISO 8601, bytes such as those of an image in base64, a number.

    Raises TypeError for any other value."""
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, bytes):
        return b64encode(value).decode()
    if isinstance(value, Decimal):
        return float(value)
    raise TypeError(f"expected a value that JSON has, got {type(value).__name__}")


ENDINGS = (".parquet", ".csv", ".jsonl")
ROW_GROUP_ROWS = 10_000
FORMULA = re.compile(r"[\t\r]|\s*[=+\-@＝＋－＠]")
"""A spreadsheet takes a text that begins so for a formula."""

Row = Mapping[str, Any]
Write = Callable[[Row], object]


def check_ending(path: Path, *endings: str) -> Path:
    """The path as it is. Call this before any work is done.

    Raises EnvironmentNotFoundError if the path has none of the endings (those of all formats, if none is given), or if
    its folder does not exist."""
    if path.suffix not in (endings or ENDINGS):
        raise EnvironmentNotFoundError(
            f"{path}: expected a file that ends with one of {', '.join(endings or ENDINGS)}, got {path.suffix!r}"
        )
    if not path.parent.is_dir():
        raise EnvironmentNotFoundError(f"{path}: expected a folder {path.parent}, there is none")
    return path


def export(rows: Iterable[Row], path: Path, schema: pa.Schema) -> int:
    """Write the rows; how many there were. After an error there is no file, never a part of one."""
    writer = {".parquet": _parquet, ".csv": _csv, ".jsonl": _json_lines}[check_ending(path).suffix]
    partial, count = path.with_name(f".{path.name}.part"), 0
    # Written beside it and renamed at the end: a rename within a folder is all or nothing.
    try:
        with writer(partial, schema) as write:
            for row in rows:
                write(row)
                count += 1
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return count


@contextmanager
def _parquet(path: Path, schema: pa.Schema) -> Iterator[Write]:
    """A writer of Parquet, which gathers rows into groups of ROW_GROUP_ROWS."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    waiting: list[Row] = []
    with pq.ParquetWriter(path, schema, compression="zstd", write_page_checksum=True) as writer:

        def flush() -> None:
            writer.write_table(pa.Table.from_pylist([dict(row) for row in waiting], schema=schema))
            waiting.clear()

        def write(row: Row) -> None:
            waiting.append(row)
            if len(waiting) == ROW_GROUP_ROWS:
                flush()

        yield write
        flush()


@contextmanager
def _csv(path: Path, schema: pa.Schema) -> Iterator[Write]:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, schema.names)
        writer.writerow({name: _as_text(name) for name in schema.names})
        yield lambda row: writer.writerow({name: _as_text(cell) for name, cell in row.items()})


def _as_text(cell: Any) -> Any:
    """The cell as CSV has it: a list as JSON, bytes in base64.

    A text that a spreadsheet would run as a formula gets an apostrophe before it, unless it is a number. Such a text
    may come from a file of other people: https://owasp.org/www-community/attacks/CSV_Injection"""
    if isinstance(cell, list):
        return json.dumps(cell, ensure_ascii=False, default=in_json)
    if isinstance(cell, bytes):
        return in_json(cell)
    if not isinstance(cell, str) or not FORMULA.match(cell):
        return cell
    # A number such as -1 or +4.2 begins like a formula, and stays.
    try:
        float(cell)
    except ValueError:
        return f"'{cell}"
    return cell


@contextmanager
def _json_lines(path: Path, _: pa.Schema) -> Iterator[Write]:
    with path.open("w", encoding="utf-8") as file:
        yield lambda row: file.write(json_line(row) + "\n")


def json_line(row: Row) -> str:
    """The row as one line of JSON, with moments in ISO 8601 and bytes in base64."""
    return json.dumps(row, ensure_ascii=False, default=in_json)
