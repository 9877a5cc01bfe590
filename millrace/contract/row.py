"""The rules on single rows, in plain Python: for the prediction function, which carries no Arrow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from millrace.contract.cells import parse_cell
from millrace.contract.reasons import Reason
from millrace.contract.schema import Column, Table
from millrace.contract.violation import RuleViolation, truncate


def check_row(row: Mapping[str, Any], table: Table) -> tuple[RuleViolation, ...]:
    """Every rule that one JSON row breaks, () for a good one; the same as a drop with this row would give.

    Times are ISO text, binary cells base64 text. Keys across rows are not looked at."""
    expected = f"one of {', '.join(table.names)}"
    unknown = sorted(row.keys() - set(table.names))
    violations = [
        RuleViolation(reason=Reason.UNKNOWN_FIELD, column=name, expected=expected, got=truncate(row[name]))
        for name in unknown
    ]
    for column in table.columns:
        value = row.get(column.name)
        violations += [
            RuleViolation(reason=reason, column=column.name, expected=expected, got=truncate(value))
            for reason, expected in _check(value, column)
        ]
    return tuple(violations)


def _check(value: Any, column: Column) -> Iterator[tuple[Reason, str]]:
    try:
        cell = parse_cell(value, column.kind)
    except ValueError:
        yield Reason.TYPE, f"a {column.kind}"
        return
    for rule in column.checks:
        if cell is None and not rule.judges_missing:
            continue
        broken = False
        for expected in rule.of_cell(cell):
            broken = True
            yield rule.reason, expected
        if broken and rule.is_last:
            return
