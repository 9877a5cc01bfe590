"""Finds when a schedule is due: `rate(...)`, `at(...)` or AWS's cron of six fields, in a time zone.

    cron(minutes hours days-of-month months days-of-week years)
    cron(0 9 ? * 2#1 *)     at 9:00 on the first Monday of each month
    cron(0 0 15W * ? *)     at midnight on the weekday that is nearest to the 15th
    cron(15 10 ? * 6L *)    at 10:15 on the last Friday of each month

https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html"""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

_RATE = re.compile(r"rate\((\d+) (minute|hour|day|week)s?\)$")
_AT = re.compile(r"at\((\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\)$")
_CRON = re.compile(r"cron\((\S+) (\S+) (\S+) (\S+) (\S+) (\S+)\)$")
_MONTHS = {name: number for number, name in enumerate(calendar.month_abbr) if name}
_DAYS = {name: number for number, name in enumerate(("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"), start=1)}
LAST_YEAR = 2199
"""AWS's cron takes the years 1970 to 2199. A search for the next time ends after this year."""


@dataclass(frozen=True, kw_only=True)
class Cron:
    """The six fields of an expression. Days stay text, since their meaning depends on the month."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days_of_month: str
    months: frozenset[int]
    days_of_week: str
    years: frozenset[int]

    def falls_on(self, day: date) -> bool:
        """Whether the expression has times on this day."""
        if day.year not in self.years or day.month not in self.months:
            return False
        if self.days_of_month == "?":
            return any(_is_day_of_week(part, day) for part in self.days_of_week.split(","))
        return any(_is_day_of_month(part, day) for part in self.days_of_month.split(","))


def next_due(expression: str, after: datetime, *, zone: str = "UTC", start: datetime | None = None) -> datetime | None:
    """The first time after `after` at which the expression is due, in UTC; None if there is none.

    A rate counts from `start`. As on AWS, a time that the zone skips in spring is skipped, and a time that it has twice
    in autumn counts once. Raises ValueError if the expression cannot be read."""
    text = expression.strip()
    if found := _RATE.match(text):
        return _next_of_rate(timedelta(**{f"{found[2]}s": int(found[1])}), after, start or after)
    if found := _AT.match(text):
        due = datetime.fromisoformat(found[1]).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
        return due if due > after else None
    if found := _CRON.match(text):
        return _next_of_cron(read_cron(*found.groups()), after, ZoneInfo(zone))
    raise ValueError(f"schedule: expected rate(...), at(...) or cron(...), got {expression!r}")


def read_cron(minutes: str, hours: str, days: str, months: str, weekdays: str, years: str) -> Cron:
    """The expression of these six fields. Raises ValueError for a field that is out of range.

    Raises ValueError too unless exactly one of the two fields for days is `?`."""
    if (days == "?") == (weekdays == "?"):
        raise ValueError("cron: exactly one of day-of-month and day-of-week must be ?")
    return Cron(
        minutes=tuple(sorted(_numbers(minutes, 0, 59))),
        hours=tuple(sorted(_numbers(hours, 0, 23))),
        days_of_month=days.upper(),
        months=frozenset(_numbers(months, 1, 12, _MONTHS)),
        days_of_week=weekdays.upper(),
        years=frozenset(_numbers(years, 1970, LAST_YEAR)),
    )


def _next_of_rate(interval: timedelta, after: datetime, start: datetime) -> datetime:
    # A rate is due one interval after its start, and every interval from then on.
    if after < start:
        return start + interval
    return start + interval * ((after - start) // interval + 1)


def _next_of_cron(cron: Cron, after: datetime, zone: ZoneInfo) -> datetime | None:
    day = after.astimezone(zone).date()
    while day.year <= LAST_YEAR:
        if cron.falls_on(day):
            for due in _times_on(cron, day, zone):
                if due > after:
                    return due
        elif day.year not in cron.years or day.month not in cron.months:
            # A month that cannot match is left out in one step: the search goes on from its last day.
            day = day.replace(day=calendar.monthrange(day.year, day.month)[1])
        day += timedelta(days=1)
    return None


def _times_on(cron: Cron, day: date, zone: ZoneInfo) -> Iterable[datetime]:
    """Yields the times of the day in UTC, in order."""
    for hour in cron.hours:
        for minute in cron.minutes:
            local = datetime.combine(day, time(hour, minute), tzinfo=zone)
            due = local.astimezone(UTC)
            # A time that the zone skips (02:30 in spring) comes back from UTC as another one (03:30). A time that the
            # zone has twice in autumn is the first of the two here, since `fold` is 0.
            exists = due.astimezone(zone).replace(tzinfo=None) == local.replace(tzinfo=None)
            if exists:
                yield due


def _numbers(field: str, lowest: int, highest: int, names: dict[str, int] | None = None) -> set[int]:
    """The numbers that a field means, such as `*`, `0/15`, `8-17`, `MON-FRI` or `1,15`.

    Raises ValueError for a number that is not within `lowest` to `highest`, or a word that is no name."""
    found: set[int] = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        begin = lowest if first in ("*", "?") else _number(first, names)
        # A start with a step and without an end goes up to the highest: in minutes `5/10` means `5-59/10`.
        is_open = first in ("*", "?") or bool(step)
        end = _number(last, names) if last else highest if is_open else begin
        if not lowest <= begin <= highest or not lowest <= end <= highest:
            raise ValueError(f"cron: {part!r} is not within {lowest} to {highest}")
        # A range may run over the end, as FRI-MON does: it counts on beyond the highest number, and is taken modulo the
        # width.
        span_end = end if end >= begin else end + highest - lowest + 1
        width = highest - lowest + 1
        found |= {(n - lowest) % width + lowest for n in range(begin, span_end + 1, int(step or 1))}
    return found


def _number(text: str, names: dict[str, int] | None) -> int:
    by_name = (names or {}).get(text.capitalize())
    return by_name if by_name is not None else int(text)


def _is_day_of_month(part: str, day: date) -> bool:
    """Whether the day is meant by a part of days-of-month: `L` (last day), `LW` (last weekday), `15W`, or numbers."""
    last = calendar.monthrange(day.year, day.month)[1]
    if part == "L":
        return day.day == last
    if part == "LW":
        return day == _nearest_weekday(day.replace(day=last))
    if part.endswith("W"):
        wanted = int(part[:-1])
        return wanted <= last and day == _nearest_weekday(day.replace(day=wanted))
    return day.day in _numbers(part, 1, 31)


def _nearest_weekday(day: date) -> date:
    """The nearest day from Monday to Friday that lies in the same month."""
    # Saturday goes to Friday, Sunday to Monday. If that day lies in another month, the other side of the weekend is
    # taken: Saturday the 1st goes to Monday the 3rd, Sunday the 31st to Friday the 29th.
    shift = {5: -1, 6: 1}.get(day.weekday(), 0)
    moved = day + timedelta(days=shift)
    if moved.month != day.month:
        moved = day - timedelta(days=2 if shift > 0 else -2)
    return moved


def _is_day_of_week(part: str, day: date) -> bool:
    """Whether the day is meant by a part of days-of-week: `L` (Saturday), `6L` (last Friday), `2#1`, or numbers."""
    # AWS counts Sunday as 1 and Saturday as 7. Python's isoweekday counts Monday as 1 and Sunday as 7.
    number = day.isoweekday() % 7 + 1
    last = calendar.monthrange(day.year, day.month)[1]
    if part == "L":
        return number == _DAYS["Sat"]
    if part.endswith("L"):
        return number == _number(part[:-1], _DAYS) and day.day > last - 7
    if "#" in part:
        wanted, _, nth = part.partition("#")
        return number == _number(wanted, _DAYS) and (day.day - 1) // 7 + 1 == int(nth)
    return number in _numbers(part, 1, 7, _DAYS)
