"""The patterns in which people write times, for columns whose times are not in ISO 8601."""

from __future__ import annotations

from functools import cache

from millrace.contract.time_format import TimeFormat
from millrace.errors import ConfigurationError

DAYS = (
    "dd/MM/yyyy", "MM/dd/yyyy", "d/M/yyyy", "M/d/yyyy", "dd.MM.yyyy", "d.M.yyyy", "yyyy/MM/dd", "yyyy/M/d", "yyyyMMdd",
    "dd-MM-yyyy", "MM-dd-yyyy", "dd/MM/yy", "MM/dd/yy", "d/M/yy", "M/d/yy", "dd.MM.yy", "dd-MMM-yyyy", "dd MMM yyyy",
    "d MMM yyyy", "MMM d, yyyy", "d MMMM yyyy", "MMMM d, yyyy",
)  # fmt: skip
"""Patterns of a day, each tried with each of CLOCKS behind it."""
PERIODS = ("yyyy-MM", "yyyy-'Q'Q", "yyyy 'Q'Q", "yyyy'Q'Q", "'Q'Q yyyy", "'Q'Q-yyyy", "'Q'Q/yyyy")
"""Patterns of a month or a quarter, which is its first day."""
CLOCKS = ("", " HH:mm", " HH:mm:ss", " H:mm", " H:mm:ss", " h:mm a", " hh:mm a", " h:mm:ss a", " hh:mm:ss a")


@cache
def usual_patterns() -> tuple[TimeFormat, ...]:
    """The patterns that are tried, the likeliest first."""
    return tuple(map(TimeFormat, (*(day + clock for day in DAYS for clock in CLOCKS), *PERIODS)))


def read_pattern(pattern: str, name: str) -> TimeFormat:
    """The pattern that a person gave. Raises ConfigurationError, with the column's name, if it is none."""
    found = TimeFormat(pattern)
    try:
        found.check("timestamp")
    except ValueError as error:
        raise ConfigurationError(where=name, field="--time-format", expected=str(error), came=pattern) from None
    return found
