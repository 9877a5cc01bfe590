"""Moments in time as they travel in events and tables: UTC, to the second, one text per moment."""

from __future__ import annotations

from datetime import UTC, datetime


def parse_utc(text: str) -> datetime:
    """The moment that an ISO 8601 text names, in UTC; a text without an offset is UTC.

    Raises ValueError on a text that is no moment, or one that is outside of the calendar in UTC."""
    parsed = datetime.fromisoformat(text)
    try:
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).astimezone(UTC)
    except OverflowError:
        raise ValueError(f"expected a moment in the years 1 to 9999 of UTC, got {text!r}") from None


def format_utc(at: datetime) -> str:
    """`1997-06-01T06:00:00Z`: the order of the texts is the order of the moments."""
    # By isoformat: strftime leaves out the zeros before a year of fewer than four digits.
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


def month(at: datetime) -> str:
    """`1997-06`, the month (UTC) in which spend and runs are counted."""
    return format_utc(at)[:7]


def next_month(at: datetime) -> datetime:
    """Midnight (UTC) of the first day of the month after `at`."""
    first = at.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)
