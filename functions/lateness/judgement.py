"""How late rows and labels are: age ÷ allowed age. Above 1 they are late."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta


def age_of_rows(newest: datetime, *, as_of: datetime, hours: float) -> float:
    """The age of the newest row ÷ the `hours` that are allowed."""
    return (as_of - newest) / timedelta(hours=hours)


def age_of_labels(
    days: Iterable[date], newest: datetime | None, *, as_of: datetime, hours: float, ahead_hours: float
) -> float:
    """How long the oldest waiting day of decisions has waited for labels ÷ the allowed `hours`. 0 if no day waits.

    `days` are the days with decisions. `newest` is the event time of the newest label; its decision lies `ahead_hours`
    before it. A day begins to wait at its end. It waits no more as soon as there is a label of this day or a later one.

        hours=48, as_of 4 June 00:00, decisions on 1 and 2 June, newest label of 1 June:
        2 June waits since 3 June 00:00, for 24 hours: 0.5"""
    # The day of the newest decision that has a label. All days up to it count as answered.
    answered = (newest - timedelta(hours=ahead_hours)).date() if newest else date.min
    waiting = min((day for day in days if day > answered), default=None)
    if waiting is None:
        return 0.0
    end = datetime.combine(waiting + timedelta(days=1), time(), UTC)
    return max(0.0, (as_of - end) / timedelta(hours=hours))
