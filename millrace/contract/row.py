"""The rules on a request's row and on the past that it carries: in plain Python, for a function without Arrow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from millrace.contract.kinds import as_json, parse_cell
from millrace.contract.reasons import Reason
from millrace.contract.schema import Column, Table
from millrace.contract.violation import RuleViolation, shown, truncate
from millrace.spelling import did_you_mean

if TYPE_CHECKING:
    from millrace.features.history import History

MOST_ENTRIES = 16
"""A past may hold so many rows for each step."""


def as_declared(row: Mapping[str, Any], table: Table, histories: Sequence[History] = ()) -> dict[str, Any]:
    """The row by the contract's names, its times in ISO 8601 and null for what is missing.

    A caller may send a row as its files have it. What is neither the contract's nor the files' stays as it came, for
    `check_row` to refuse; so does a column by both of its names."""
    found: dict[str, Any] = {}
    for name, value in row.items():
        match table.name_of.get(name):
            case None:
                found[name] = value
            case "":
                continue
            case known:
                found[name if known in row else known] = _as_json(value, table.column(known))
    for history in histories:
        if isinstance(past := found.get(history.name), list):
            found[history.name] = [as_declared(each, table) if isinstance(each, dict) else each for each in past]
    return found


def _as_json(value: Any, column: Column) -> Any:
    if column.means_missing(value):
        return None
    if not isinstance(value, str):
        return value
    try:
        return as_json(column.time_format.parse(value, column.kind)) if column.time_format else value
    except ValueError:
        return value


def check_row(row: Mapping[str, Any], table: Table) -> tuple[RuleViolation, ...]:
    """Every rule that one JSON row breaks in the order of the columns, () for a good one.

    The verdict, good or not, is that of a drop with this row, where `table` has the bound that `future.up_to` gives
    either's event time. A drop refuses a row for its cells of a wrong type before it applies any rule, so its reasons
    may be fewer and the first of them another.
    Times are ISO text, binary cells base64 text. Keys across rows are not looked at."""
    unknown = sorted(row.keys() - table.names)
    # Of the first alone, as a caller may send any number of them.
    expected = f"one of {', '.join(table.names)}{did_you_mean(unknown[:1], table.names)}" if unknown else ""
    violations = [
        RuleViolation(reason=Reason.UNKNOWN_FIELD, column=name, expected=expected, got=truncate(row[name]))
        for name in unknown
    ]
    for column in table.columns:
        value = row.get(column.name)
        violations += [
            RuleViolation(reason=reason, column=column.name, expected=expected, got=shown(reason, cell))
            for reason, expected, cell in _check(value, column)
        ]
    return tuple(violations)


def _check(value: Any, column: Column) -> Iterator[tuple[Reason, str, Any]]:
    """Reason, expected and what came of each rule that the value breaks: an image as its bytes."""
    try:
        cell = parse_cell(value, column.kind)
    except ValueError:
        yield Reason.TYPE, column.form, value
        return
    for rule in column.checks:
        if cell is None and not rule.judges_missing:
            continue
        broken = False
        for expected in rule.of_cell(cell):
            broken = True
            yield rule.reason, expected, cell if rule.reason == Reason.IMAGE else value
        if broken and rule.is_last:
            return


def check_row_with_past(
    row: Mapping[str, Any], table: Table, histories: Sequence[History]
) -> tuple[RuleViolation, ...]:
    """Every rule that the row breaks, then those of the first bad row of each past: its column is `past[3].load`."""
    names = {history.name for history in histories}
    own = check_row({name: value for name, value in row.items() if name not in names}, table)
    if own:
        return own
    return tuple(violation for history in histories for violation in _check_past(row, table, history))


def _check_past(row: Mapping[str, Any], table: Table, history: History) -> Iterator[RuleViolation]:
    past, most = row.get(history.name), MOST_ENTRIES * history.steps
    if not isinstance(past, list) or len(past) > most or not all(isinstance(entry, dict) for entry in past):
        expected = f"a list of at most {most} objects"
        yield RuleViolation(reason=Reason.TYPE, column=history.name, expected=expected, got=truncate(past))
        return
    time = replace(table.column(history.event_time), required=True)
    entries = Table(name="past", columns=(time, *(table.column(name) for name in history.history)))
    for number, entry in enumerate(past):
        if found := check_row(entry, entries):
            yield replace(found[0], column=f"{history.name}[{number}].{found[0].column}")
            return
    if (repeated := history.repeated(row)) is not None:
        column = f"{history.name}[{repeated}].{history.event_time}"
        got = truncate(past[repeated].get(history.event_time))
        yield RuleViolation(reason=Reason.DUPLICATE_KEY, column=column, expected="each time once", got=got)
        return
    if history.is_request_too_short(row):
        hours = (history.steps - 1) * history.every_hours
        expected = f"a past that begins {hours:g} hours before the row or earlier"
        yield RuleViolation(reason=Reason.HISTORY, column=history.name, expected=expected, got=f"{len(past)} rows")
