"""The user's own file as columns: text of CSV and similar formats, typed values of JSON lines and Parquet."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from millrace.errors import ConfigurationError, DropError
from millrace.files.sniff import HEAD_BYTES, format_of

if TYPE_CHECKING:
    import pyarrow as pa

SEPARATORS = (",", "\t", ";", "|")
NUMBER = re.compile(r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$")


@dataclass(frozen=True, kw_only=True)
class Source:
    """The columns of the file."""

    path: Path
    table: pa.Table
    has_typed_text: bool
    """CSV and its kin: every cell is text and may mean a number."""
    notes: tuple[str, ...]
    """Changes that were needed before the file could be ingested."""


def read_source(path: Path, *, columns: Sequence[str] = ()) -> Source:
    """The rows of a CSV, TSV, JSON lines or Parquet file.

    `columns` are the names where the file has no line with names. Raises ConfigurationError for a file that is none of
    these, holds no rows, or whose column names are not unique."""
    if not path.is_file():
        _stop(path, "--from", "a file", "none of that name")
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if not head.strip():
        _stop(path, "rows", "labelled rows", "an empty file")
    try:
        form = format_of(head)
    except DropError as error:
        _stop(path, "format", "CSV, TSV, JSON lines or Parquet", str(error))
    if columns and form != "csv":
        _stop(path, "--columns", "a CSV or TSV file, which may lack a line with names", form)
    table, notes = {"csv": _delimited, "jsonlines": _json_lines, "parquet": _parquet}[form](path, list(columns))
    if not table.num_rows:
        _stop(path, "rows", "labelled rows", "none")
    names, renamed = _names(path, table.column_names)
    return Source(path=path, table=table.rename_columns(names), has_typed_text=form == "csv", notes=(*notes, *renamed))


def _delimited(path: Path, columns: list[str]) -> tuple[pa.Table, list[str]]:
    import pyarrow as pa

    records = _records(path)
    try:
        separator, (line, first) = next(records)
    except StopIteration:
        _stop(path, "rows", "labelled rows", "blank lines")
    notes = [] if separator == "," else [f"its cells are separated by {separator!r}, drops by commas"]
    if columns and len(columns) != len(first):
        _stop(path, "--columns", f"{len(first)} names, one for each cell of line {line}", len(columns))
    if not columns and (data := [cell for cell in first if NUMBER.match(cell)]):
        _stop(path, f"line {line}", "the names of the columns (or --columns a,b,c…)", f"data such as {data[0]!r}")
    rows, odd = ([first] if columns else []), []
    for _, (number, cells) in records:
        if len(cells) == len(first):
            rows.append(cells)
        else:
            odd.append(number)
    if odd:
        shown = ", ".join(map(str, odd[:5])) + ("…" if len(odd) > 5 else "")
        notes.append(f"{len(odd):,} lines without {len(first)} cells are left out (lines {shown})")
    names = columns or [cell or f"column_{place}" for place, cell in enumerate(first, 1)]
    arrays = [pa.array([row[place] for row in rows], pa.string()) for place in range(len(names))]
    return pa.Table.from_arrays(arrays, names=names), notes


def _records(path: Path) -> Iterator[tuple[str, tuple[int, list[str]]]]:
    """The separator with each record that is not blank and the line where it ended; cells without spaces around."""
    csv.field_size_limit(2**31 - 1)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            head = next((line for line in file if line.strip()), "")
            separator = max(SEPARATORS, key=head.count)
            file.seek(0)
            reader = csv.reader(file, delimiter=separator, skipinitialspace=True)
            for cells in reader:
                if any(cell.strip() for cell in cells):
                    yield separator, (reader.line_num, [cell.strip() for cell in cells])
    except UnicodeDecodeError as error:
        _stop(path, "encoding", "UTF-8 (iconv -f latin1 -t utf8 may make it so)", error.object[error.start : error.end])
    except csv.Error as error:
        _stop(path, f"line {reader.line_num}", "cells in double quotes that close", str(error))


def _json_lines(path: Path, _: list[str]) -> tuple[pa.Table, list[str]]:
    import pyarrow as pa

    rows: list[dict[str, Any]] = []
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        if line.strip():
            rows.append(_object(path, number, line))
    names = list(dict.fromkeys(name for row in rows for name in row))
    arrays = []
    for name in names:
        cells = [row.get(name) for row in rows]
        try:
            arrays.append(pa.array(cells))
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
            kinds = ", ".join(sorted({type(cell).__name__ for cell in cells if cell is not None}))
            _stop(path, name, "values of one type", kinds)
    return pa.Table.from_arrays(arrays, names=names), []


def _object(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        _stop(path, f"line {number}", "a JSON object", str(error))
    if not isinstance(row, dict):
        _stop(path, f"line {number}", "a JSON object", type(row).__name__)
    return row


def _parquet(path: Path, _: list[str]) -> tuple[pa.Table, list[str]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            return file.read().replace_schema_metadata(None), []
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        _stop(path, "format", "a readable Parquet file", str(error)[:200])


def _names(path: Path, came: list[str]) -> tuple[list[str], list[str]]:
    """Valid names, and which were changed; Athena's names are case-insensitive."""
    names = [name.strip().lstrip("_") or f"column_{place}" for place, name in enumerate(came, 1)]
    if strange := [name for name in names if not name.isprintable()]:
        _stop(path, "columns", "names that can be printed", strange)
    counts = Counter(name.lower() for name in names)
    if twice := [name for name in came if counts[name.strip().lstrip("_").lower()] > 1]:
        _stop(path, "columns", "names that differ in more than capitals", twice)
    return names, [f"{old!r} is called {new!r}" for old, new in zip(came, names, strict=True) if old.strip() != new]


def _stop(path: Path, field: str, expected: str, came: object) -> NoReturn:
    raise ConfigurationError(where=path.name, field=field, expected=expected, came=came)
