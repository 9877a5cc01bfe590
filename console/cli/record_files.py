"""Writes rows of records as a file: Parquet, CSV or JSON lines, by the file's ending."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from millrace.console.cli.printing import in_json
from millrace.errors import EnvironmentNotFoundError

if TYPE_CHECKING:
    import pyarrow as pa

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
