"""Times as events and tables write them: in UTC, to the second, each moment as one text: `1997-06-01T06:00:00Z`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

EPOCH, MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)


def parse_utc(text: str) -> datetime:
    """The time of an ISO 8601 text, in UTC. A text without an offset counts as UTC.

    Raises ValueError for a text that is no time, and for a time that is outside the years 1 to 9999 in UTC."""
    parsed = datetime.fromisoformat(text)
    try:
        return parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    except OverflowError:
        raise ValueError(f"expected a moment in the years 1 to 9999 of UTC, got {text!r}") from None


def format_utc(at: datetime) -> str:
    """The time as `1997-06-01T06:00:00Z`. The order of such texts is the order of the times."""
    # By isoformat, since strftime leaves out the zeros of a year with fewer than four digits.
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


def micros(at: datetime) -> int:
    """The time in microseconds since 1970."""
    return (at - EPOCH) // MICROSECOND


def of_micros(count: int | None) -> datetime | None:
    """The time so many microseconds after 1970; None without a number, and beyond the calendar of Python."""
    try:
        return None if count is None else EPOCH + count * MICROSECOND
    except OverflowError:
        return None


def month(at: datetime) -> str:
    """The month (UTC) of the time as `1997-06`. Spend and retrainings are counted by it."""
    return format_utc(at)[:7]


def next_month(at: datetime) -> datetime:
    """Midnight (UTC) of the first day of the next month."""
    # `month // 12` is 1 in December only, and `month % 12 + 1` is then January.
    first = at.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)
