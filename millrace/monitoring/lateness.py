"""How late rows and labels are: age ÷ allowed age. Above 1 they are late."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta


def age_of_rows(newest: datetime, *, as_of: datetime, hours: float) -> float:
    """The age of the newest row ÷ the `hours` that are allowed."""
    return (as_of - newest) / timedelta(hours=hours)


def age_of_labels(waiting_since: datetime | None, *, as_of: datetime, hours: float) -> float:
    """How long the oldest waiting day of decisions has waited for labels ÷ the allowed `hours`. 0 if no day waits."""
    return max(0.0, (as_of - waiting_since) / timedelta(hours=hours)) if waiting_since else 0.0


def labels_wait_since(days: Iterable[date], newest: datetime | None, *, ahead_hours: float) -> datetime | None:
    """Since when the oldest day of decisions waits for labels. None if no day waits.

    `days` are the days with decisions. `newest` is the event time of the newest label; its decision lies `ahead_hours`
    before it. A day begins to wait at its end. It waits no more as soon as there is a label of this day or a later one.

        decisions on 1 and 2 June, newest label of 1 June: 2 June waits since 3 June 00:00"""
    # The day of the newest decision that has a label. All days up to it count as answered.
    answered = (newest - timedelta(hours=ahead_hours)).date() if newest else date.min
    waiting = min((day for day in days if day > answered), default=None)
    return datetime.combine(waiting + timedelta(days=1), time(), UTC) if waiting else None
