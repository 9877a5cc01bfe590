"""Checks a row of a request, and the past that the row carries: in plain Python, for a function without Arrow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from millrace.contract.kinds import as_json, parse_cell
from millrace.contract.reasons import Reason
from millrace.contract.schema import Column, Table
from millrace.contract.violation import RuleViolation, of_comparison, shown, truncate
from millrace.spelling import one_of

if TYPE_CHECKING:
    from millrace.features.history import History

MOST_ENTRIES = 16
"""The most rows that a past may hold for each step of its history."""


class KnownPast(list[dict[str, Any]]):
    """A past that was looked up in committed rows. It was judged when they came, unlike one that a caller sends."""


def as_declared(row: Mapping[str, Any], table: Table, histories: Sequence[History] = ()) -> dict[str, Any]:
    """The row with the contract's names, its times in ISO 8601 and null for missing cells.

    A caller may send a row as the files have it: `{"Seen At": "7/4/2024 1:05 PM"}` becomes
    `{"seen_at": "2024-07-04T13:05:00"}`. A name that neither the contract nor its files have stays as it came, and so
    does a column that comes by both of its names: `check_row` refuses them."""
    if row.keys() <= table.plain_names:
        return dict(row)
    found: dict[str, Any] = {}
    for name, value in table.parted(row).items():
        match table.name_of.get(name):
            case None:
                found[name] = value
            case "":  # a column that is not read
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
    if (meant := column.meant(value)) is not value:
        return None if column.means_missing(meant) else meant
    if not isinstance(value, str):
        return value
    try:
        return as_json(column.time_format.parse(value, column.kind)) if column.time_format else value
    except ValueError:  # it may be ISO 8601 already; `check_row` judges it
        return value


def derived(row: Mapping[str, Any], table: Table) -> dict[str, Any]:
    """The row with its derived cells: where it has none of its own, which `check_row` compares."""
    cells = dict(row)
    for name, expression in table.derived.items():
        if cells.get(name) is None:
            cells[name] = expression.of_row(cells)
    return cells


def check_row(row: Mapping[str, Any], table: Table) -> tuple[RuleViolation, ...]:
    """Every rule that the JSON row breaks, in the order of the columns; () for a good row.

    Times are ISO text, binary cells are base64 text. Keys across rows are not compared. A derived cell may be left out.

    A drop with this row would come to the same verdict with the same first reason, if `table` has the bound that
    `up_to` puts on the event time of both. So an unknown name is all that is said of a row, and after that cells of
    wrong types are: only a row that can be read is judged by the rules."""
    brought, row = row, derived(row, table) if table.derived else row
    unknown = sorted(row.keys() - table.names)
    # A spelling is proposed for the first unknown name alone: a caller may send any number of them.
    expected = one_of(unknown[0], table.names) if unknown else ""
    violations = [
        RuleViolation(reason=Reason.UNKNOWN_FIELD, column=name, expected=expected, got=truncate(row[name]))
        for name in unknown
    ]
    if unknown:
        return tuple(violations)
    for column in table.columns:
        value: Any = row.get(column.name)
        kind, low, high = column.usual
        if kind is type(value) and low < value < high:
            continue
        violations += [
            RuleViolation(reason=reason, column=column.name, expected=expected, got=shown(reason, cell))
            for reason, expected, cell in _check(value, column)
        ]
    return tuple(
        [one for one in violations if one.reason == Reason.TYPE] or violations or _compared(row, table, brought)
    )


def _compared(row: Mapping[str, Any], table: Table, brought: Mapping[str, Any]) -> Iterator[RuleViolation]:
    """Each comparison that the row breaks, whose cells keep the rules of their columns, and each wrong derived cell."""
    for rule in table.comparisons:
        cells = [parse_cell(row.get(name), table.column(name).kind) for name in rule.columns]
        if not rule.keeps(*cells):
            yield of_comparison(rule.columns, rule.text, *cells)
    for name, expression in table.derived.items():
        if brought.get(name) is not None and (cell := parse_cell(row[name], expression.kind)) != (
            made := expression.of_row(row)
        ):
            yield of_comparison([name], f"{name} == {expression.text}", cell, made)


def _check(value: Any, column: Column) -> Iterator[tuple[Reason, str, Any]]:
    """For each rule that the value breaks: the reason, what was expected, and what came (of an image its bytes)."""
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


def unlisted(row: Mapping[str, Any], table: Table) -> Iterator[RuleViolation]:
    """Each cell of the row with a value outside of the contract's list, where such values are taken."""
    for column, rule in table.open_lists:
        if (value := row.get(column.name)) is None:
            continue
        for expected in rule.of_cell(value):
            yield RuleViolation(reason=rule.reason, column=column.name, expected=expected, got=truncate(value))


def check_row_with_past(
    row: Mapping[str, Any], table: Table, histories: Sequence[History]
) -> tuple[RuleViolation, ...]:
    """Every rule that the row breaks; if it breaks none, what is wrong with each of its pasts.

    Of a past the first bad row alone is named, with a column such as `past[3].load`."""
    if not histories:
        return check_row(row, table)
    names = {history.name for history in histories}
    own = check_row({name: value for name, value in row.items() if name not in names}, table)
    if own:
        return own
    return tuple(violation for history in histories for violation in _check_past(row, table, history))


def repeated(row: Mapping[str, Any], histories: Sequence[History]) -> Iterator[RuleViolation]:
    """Each entry of the row's pasts at the time of an earlier one, which is the one that counts."""
    for history in histories:
        for place in history.repeated(row):
            yield RuleViolation(
                reason=Reason.DUPLICATE_KEY,
                column=f"{history.name}[{place}].{history.event_time}",
                expected="each time once: the first row of a time counts",
                got=truncate(row[history.name][place][history.event_time]),
            )


def _check_past(row: Mapping[str, Any], table: Table, history: History) -> Iterator[RuleViolation]:
    """The first thing that is wrong with the past of the row: its form, a row of it, its length."""
    past, most = row.get(history.name), MOST_ENTRIES * history.steps
    if isinstance(past, KnownPast):
        yield from _check_length(row, history, f"{len(past)} rows that are known of its key")
        return
    # Each step is checked only if the ones before are right: the form, the rows, how far they reach back.
    if not isinstance(past, list) or len(past) > most or not all(isinstance(entry, dict) for entry in past):
        expected = f"a list of at most {most} objects"
        yield RuleViolation(reason=Reason.TYPE, column=history.name, expected=expected, got=truncate(past))
        return
    # A row of the past has the event time, which it must have, and the columns of the history.
    time = replace(table.column(history.event_time), required=True)
    known = tuple(rule for rule in table.comparisons if {*rule.columns} <= {*history.history})
    entries = Table(name="past", columns=(time, *map(table.column, history.history)), comparisons=known)
    for number, entry in enumerate(past):
        if found := check_row(entry, entries):
            yield replace(found[0], column=f"{history.name}[{number}].{found[0].column}")
            return
    yield from _check_length(row, history, f"{len(past)} rows")


def _check_length(row: Mapping[str, Any], history: History, came: str) -> Iterator[RuleViolation]:
    if history.is_request_too_short(row):
        hours = (history.steps - 1) * history.every_hours
        expected = f"a past that begins {hours:g} hours before the row or earlier"
        yield RuleViolation(reason=Reason.HISTORY, column=history.name, expected=expected, got=came)
