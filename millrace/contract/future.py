"""Bounds the event time of rows: a time far ahead of their arrival is a wrong date."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

from millrace.contract.rules.range import Range
from millrace.contract.schema import Column, Table

AHEAD = timedelta(days=366)
"""How far ahead of arrival and horizon an event time may lie.

It leaves room for files of a whole month or year that come before it is over, for plans, and for replays of the past.
A time further ahead is a wrong date. `split.without_strays` leaves out the few wrong dates that lie nearer."""


class InTime(Protocol):
    """The part of a workload's prediction that is read here."""

    @property
    def event_time(self) -> str:
        """The column with the time of a row's event."""
        ...

    @property
    def horizon_hours(self) -> float:
        """How many hours after a row's event its label is known."""
        ...


def up_to(table: Table, prediction: InTime, *, arrived: datetime) -> Table:
    """The table with an upper bound on its event time: when the drop or the request arrived, plus horizon, plus a year.

    If the contract declares a maximum of its own, that one stays. Without a bound, one wrong date such as 9999-12-31
    would be the table's last day for good: no later training would have rows to be judged on. And no monitor ever looks
    at decisions about such a day."""
    try:
        latest = arrived.astimezone(UTC) + timedelta(hours=prediction.horizon_hours) + AHEAD
    except OverflowError:  # the bound lies behind the year 9999, the last one that Python has
        return table
    columns = (_bounded(column, latest) if column.name == prediction.event_time else column for column in table.columns)
    return replace(table, columns=tuple(columns))


def _bounded(column: Column, latest: datetime) -> Column:
    declared = column.find(Range) or Range()
    if declared.maximum is not None or declared.exclusive_maximum is not None:
        return column
    # The bound joins the declared minimum in one rule: a column has one rule of each class.
    bound = latest if column.kind == "timestamp_utc" else latest.replace(tzinfo=None)
    others = tuple(rule for rule in column.rules if not isinstance(rule, Range))
    return replace(column, rules=(*others, replace(declared, maximum=bound)))
