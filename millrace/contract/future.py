"""A row of the far future is no row: what lies later than its drop or its request can know is refused, by a rule."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from millrace.contract.rules.range import Range

if TYPE_CHECKING:
    from millrace.contract.schema import Column, Table

AHEAD = timedelta(days=366)
"""Room for files of a whole month or year that come while it runs, for plans, and for replays of the past.

What lies further ahead is a wrong date; the few rows nearer than that are left out by `split.without_strays`."""


class InTime(Protocol):
    """What is predicted of rows in time, as a workload declares it."""

    @property
    def event_time(self) -> str:
        """The column of it."""
        ...

    @property
    def horizon_hours(self) -> float:
        """How long after a row's time its label is known."""
        ...


def up_to(table: Table, prediction: InTime, *, arrived: datetime) -> Table:
    """The table with an upper bound on the event time: the arrival of the drop or the request, the horizon and a year.

    A contract that declares a maximum of its own keeps it. Without a bound one wrong date, 9999-12-31, would be the
    last day of the table for good, after which no training has rows to be judged on; and no monitor ever looks at
    decisions about such a day."""
    try:
        latest = arrived.astimezone(UTC) + timedelta(hours=prediction.horizon_hours) + AHEAD
    except OverflowError:
        return table
    columns = (_bounded(column, latest) if column.name == prediction.event_time else column for column in table.columns)
    return replace(table, columns=tuple(columns))


def _bounded(column: Column, latest: datetime) -> Column:
    declared = column.find(Range) or Range()
    if declared.maximum is not None or declared.exclusive_maximum is not None:
        return column
    bound = latest if column.kind == "timestamp_utc" else latest.replace(tzinfo=None)
    others = tuple(rule for rule in column.rules if not isinstance(rule, Range))
    return replace(column, rules=(*others, replace(declared, maximum=bound)))
