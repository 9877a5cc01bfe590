"""The same rules on single rows, in plain Python: for the prediction function, which carries no Arrow."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from millrace.contract.schema import FLOATS, Column, Table

INTEGERS = {"int32": 2**31, "int64": 2**63}


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One rule that one row breaks."""

    reason: str
    """`unknown_field`, `required`, `type`, `not_finite`, `range`, `allowed`, `length` or `pattern`."""
    column: str
    expected: str
    came: str


def check_row(row: Mapping[str, Any], table: Table) -> tuple[Problem, ...]:
    """What is wrong with one JSON row, nothing for a good one; reasons as `rules` and `drops` give them.

    Times come as ISO text, binary cells as hexadecimal text. Keys across rows are not looked at."""
    unknown = row.keys() - set(table.names)
    problems = [
        Problem(reason="unknown_field", column=name, expected=f"one of {', '.join(table.names)}", came=shown(row[name]))
        for name in sorted(unknown)
    ]
    for column in table.columns:
        came = row.get(column.name)
        problems += [
            Problem(reason=reason, column=column.name, expected=expected, came=shown(came))
            for reason, expected in _of_cell(came, column)
        ]
    return tuple(problems)


def shown(came: object) -> str:
    """What came, short enough for a sentence."""
    text = "nothing" if came is None else repr(came) if isinstance(came, str | bytes) else str(came)
    return text if len(text) <= 80 else f"{text[:77]}..."


def typed(came: Any, column: Column) -> Any:
    """The cell in the column's type; raises ValueError when JSON's value does not fit it. None stays None."""
    if came is None:
        return None
    match column.kind:
        case "string" if isinstance(came, str):
            return came
        case "binary" if isinstance(came, str):
            return bytes.fromhex(came)
        case "boolean" if isinstance(came, bool):
            return came
        case "date" if isinstance(came, str):
            return date.fromisoformat(came)
        case "timestamp" | "timestamp_utc" if isinstance(came, str):
            moment = datetime.fromisoformat(came)
            if (moment.tzinfo is None) is (column.kind == "timestamp"):
                return moment
        case "int32" | "int64" if isinstance(came, int) and not isinstance(came, bool):
            if -INTEGERS[column.kind] <= came < INTEGERS[column.kind]:
                return came
        case "float32" | "float64" if isinstance(came, int | float) and not isinstance(came, bool):
            return float(came)
    raise ValueError(came)


def as_json(cell: object) -> object:
    """The cell as JSON holds it, the reverse of `typed`: times as ISO text, bytes as hexadecimal."""
    if isinstance(cell, bytes):
        return cell.hex()
    return cell.isoformat() if isinstance(cell, date) else cell


def _of_cell(came: Any, column: Column) -> Iterator[tuple[str, str]]:
    try:
        cell = typed(came, column)
    except (ValueError, OverflowError):
        yield "type", f"a {column.kind}"
        return
    if cell is None:
        if column.required:
            yield "required", "a value"
        return
    if column.kind in FLOATS and not math.isfinite(cell):
        yield "not_finite", "a finite number"
        return
    yield from _range(cell, column)
    if column.allowed and cell not in column.allowed:
        yield "allowed", f"one of {', '.join(map(str, column.allowed))}"
    if column.kind in ("string", "binary"):
        yield from _text(cell, column)


def _range(cell: Any, column: Column) -> Iterator[tuple[str, str]]:
    if column.minimum is not None and cell < column.minimum:
        yield "range", f">= {column.minimum}"
    if column.maximum is not None and cell > column.maximum:
        yield "range", f"<= {column.maximum}"
    if column.exclusive_minimum is not None and cell <= column.exclusive_minimum:
        yield "range", f"> {column.exclusive_minimum}"
    if column.exclusive_maximum is not None and cell >= column.exclusive_maximum:
        yield "range", f"< {column.exclusive_maximum}"


def _text(cell: str | bytes, column: Column) -> Iterator[tuple[str, str]]:
    if column.min_length is not None and len(cell) < column.min_length:
        yield "length", f">= {column.min_length}"
    if column.max_length is not None and len(cell) > column.max_length:
        yield "length", f"<= {column.max_length}"
    if column.pattern is not None and isinstance(cell, str) and not re.search(column.pattern, cell):
        yield "pattern", column.pattern
