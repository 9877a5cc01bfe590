"""Files as people write them, by writers that know nothing of the readers, and what becomes of their rows."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pytest

from millrace.contract.kinds import parse_cell
from millrace.contract.row import as_declared, check_row
from millrace.contract.schema import LINE, Table
from millrace.files.catalogue import read_drop
from millrace.files.origin import Origin
from millrace.files.parsed import Limits, Parsed
from tests import builders

Read = Callable[..., Parsed]
STRFTIME = {
    "EEE": "%a",
    "yyyy": "%Y", "uuuu": "%Y", "yy": "%y", "MMMM": "%B", "MMM": "%b", "MM": "%m", "dd": "%d", "HH": "%H",
    "hh": "%I", "mm": "%M", "ss": "%S", "SSSSSS": "%f", "a": "%p", "XX": "%z",
    "M": "%-m", "d": "%-d", "H": "%-H", "h": "%-I", "m": "%-M", "s": "%-S",
}  # fmt: skip


def write_time(at: datetime, words: list[str]) -> str:
    """The time in the letters of a pattern, each a word; anything else stands for itself."""
    # The C library writes the year 1 as it likes.
    forms = STRFTIME | dict.fromkeys(("yyyy", "uuuu"), f"{at.year:04}")
    return "".join(at.strftime(forms[word]) if word in forms else word.strip("'") for word in words)


def parse(data: bytes, table: Table, limits: Limits | None = None, origin: Origin | None = None) -> Parsed:
    """The rows of a file with these bytes, all parts as one."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "drop")
        path.write_bytes(data)
        parts = list(read_drop(path, table, limits, origin))
    rows = pa.concat_tables([part.rows for part in parts])
    return Parsed(rows=rows, unparsable=tuple(row for part in parts for row in part.unparsable))


@pytest.fixture(scope="session")
def read() -> Read:
    return parse


def as_csv(rows: list[dict[str, Any]]) -> bytes:
    writer = csv.DictWriter(sink := io.StringIO(), list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return sink.getvalue().encode()


def as_json_lines(rows: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def as_parquet(rows: list[dict[str, Any]], *, rows_in_group: int | None = None, **stored: pa.Array) -> bytes:
    """`stored` are the cells of columns that have a type of their own."""
    table = pa.Table.from_pylist([{name: row[name] for name in row if name not in stored} for row in rows])
    for name, cells in stored.items():
        table = table.append_column(name, cells)
    return builders.parquet(table, row_group_size=rows_in_group)


WRITERS: dict[str, Callable[..., bytes]] = {"csv": as_csv, "jsonl": as_json_lines, "parquet": as_parquet}


def taken(rows: list[dict[str, Any]], table: Table, **stored: pa.Array) -> dict[str, dict[Any, dict[str, Any]]]:
    """The rows that are taken, by their first cell: of a file of each format, and of a request."""
    first, *names = table.names
    found: dict[str, list[dict[str, Any]]] = {}
    for form, write in WRITERS.items():
        data = write(rows, **stored) if form == "parquet" else write(rows)
        found[form] = parse(data, table).rows.drop_columns([LINE]).to_pylist()
    asked = [as_declared(row, table) for row in rows]
    good = [row for row in asked if not check_row(row, table)]
    found["request"] = [{c.name: parse_cell(row.get(c.name), c.kind) for c in table.columns} for row in good]
    return {form: {row[first]: {name: row[name] for name in names} for row in rows} for form, rows in found.items()}
