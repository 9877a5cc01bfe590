"""JSON lines: one object per line, strictly JSON; a line that is none costs one row."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from millrace.contract.arrow import arrow_type, parsed_schema
from millrace.contract.row import shown
from millrace.contract.schema import Column, Table
from millrace.contract.validate import Refused
from millrace.files.cast import from_text
from millrace.files.lines import blocks, lines_of, raw_text
from millrace.files.parsed import Limits, Parsed

if TYPE_CHECKING:
    import pyarrow as pa

TEXT_KINDS = ("string", "binary", "date", "timestamp", "timestamp_utc")


def read(path: Path, table: Table, limits: Limits) -> Iterator[Parsed]:
    """The file in parts; raises DropError as `read_drop`."""
    line = 1
    for block in blocks(path, limits):
        lines = lines_of(block)
        yield _read_lines(lines, line, table)
        line += len(lines)


def _read_lines(lines: list[bytes], first: int, table: Table) -> Parsed:
    numbers: list[int] = []
    objects: list[dict[str, Any]] = []
    unparsable: list[Refused] = []
    for number, text in enumerate(lines, first):
        if not text.strip():
            continue
        row = _object(text, table)
        if isinstance(row, tuple):
            unparsable.append(Refused(line=number, reason=row[0], detail=row[1], raw=raw_text(text)))
        else:
            numbers.append(number)
            objects.append(row)
    return _typed(numbers, objects, {n: lines[n - first] for n in numbers}, unparsable, table)


def _object(text: bytes, table: Table) -> dict[str, Any] | tuple[str, str]:
    """The object of one line, or the reason and what was wrong."""
    try:
        row = json.loads(text.decode(), object_pairs_hook=_pairs, parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        return "encoding", f"expected UTF-8, came {error.object[error.start : error.end]!r}"
    except (ValueError, RecursionError) as error:
        return "json", f"expected a JSON object, came {shown(str(error) or type(error).__name__)}"
    if not isinstance(row, dict):
        return "json", f"expected a JSON object, came {shown(row)}"
    if unknown := sorted(row.keys() - set(table.names)):
        return "unknown_field", f"expected {', '.join(table.names)}, came {', '.join(map(shown, unknown))}"
    return row


def _typed(
    numbers: list[int], objects: list[dict[str, Any]], raw: dict[int, bytes], unparsable: list[Refused], table: Table
) -> Parsed:
    import pyarrow as pa

    schema = parsed_schema(table)
    wrong: dict[int, list[str]] = {}
    arrays = []
    for column in table.columns:
        cells = [row.get(column.name) for row in objects]
        values, misfits = _column(cells, column)
        arrays.append(values)
        for at in misfits:
            detail = f"{column.name}: expected a {column.kind}, came {shown(cells[at])}"
            wrong.setdefault(at, []).append(detail)
    for at, problems in wrong.items():
        text = raw_text(raw[numbers[at]])
        unparsable.append(Refused(line=numbers[at], reason="type", detail="; ".join(problems), raw=text))
    rows = pa.Table.from_arrays([*arrays, pa.array(numbers, pa.int64())], schema=schema)
    good = pa.array([at for at in range(len(numbers)) if at not in wrong], pa.int64())
    kept = rows.take(good) if wrong else rows
    return Parsed(rows=kept, unparsable=tuple(sorted(unparsable, key=lambda row: row.line or 0)))


def _column(cells: list[Any], column: Column) -> tuple[pa.Array, list[int]]:
    """The typed column and the positions of values that are not of its JSON type (null there)."""
    import pyarrow as pa

    wrong = [at for at, cell in enumerate(cells) if cell is not None and not _fits(cell, column)]
    values = list(cells)
    for at in wrong:
        values[at] = None
    if column.kind == "string":
        return pa.array(values, pa.string()), wrong
    if column.kind in TEXT_KINDS:
        typed, misfits = from_text(pa.array(values, pa.string()), column.kind)
        return typed, sorted({*wrong, *misfits})
    return pa.array(values, arrow_type(column.kind)), wrong


def _fits(cell: Any, column: Column) -> bool:
    if column.kind in TEXT_KINDS:
        return isinstance(cell, str) and _is_unicode(cell)
    if column.kind == "boolean":
        return isinstance(cell, bool)
    if isinstance(cell, bool) or not isinstance(cell, int | float):
        return False
    if column.kind in ("int32", "int64"):
        most = 2**31 if column.kind == "int32" else 2**63
        return isinstance(cell, int) and -most <= cell < most
    return isinstance(cell, float) or abs(cell) < 2**53


def _is_unicode(text: str) -> bool:
    """False for half a surrogate pair, which JSON can say and UTF-8 cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        raise ValueError("a field that comes twice")
    return row


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name}, which is not JSON")
