"""A request's row with the past that it carries: the rows before it keep the same rules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from millrace.contract.reasons import Reason
from millrace.contract.row import check_row
from millrace.contract.schema import Table
from millrace.contract.violation import RuleViolation, truncate

if TYPE_CHECKING:
    from millrace.features.history import History

MOST_ENTRIES = 16
"""A past may hold so many rows for each step."""


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
    if history.is_request_too_short(row):
        hours = (history.steps - 1) * history.every_hours
        expected = f"a past that begins {hours:g} hours before the row or earlier"
        yield RuleViolation(reason=Reason.HISTORY, column=history.name, expected=expected, got=f"{len(past)} rows")
