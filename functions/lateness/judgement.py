"""How late rows and labels are, as shares of what is allowed: above 1 they are late."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta


def age_of_rows(newest: datetime, *, as_of: datetime, hours: float) -> float:
    return (as_of - newest) / timedelta(hours=hours)


def age_of_labels(
    days: Iterable[date], newest: datetime | None, *, as_of: datetime, hours: float, ahead_hours: float
) -> float:
    """How long the first day of decisions waits for labels; 0 where none does.

    `newest` is the event time of the newest label, which lies `ahead_hours` behind that of its decision. A day counts
    from its end; one is answered as soon as a label of it or of a later one is there."""
    answered = (newest - timedelta(hours=ahead_hours)).date() if newest else date.min
    waiting = min((day for day in days if day > answered), default=None)
    if waiting is None:
        return 0.0
    end = datetime.combine(waiting + timedelta(days=1), time(), UTC)
    return max(0.0, (as_of - end) / timedelta(hours=hours))
