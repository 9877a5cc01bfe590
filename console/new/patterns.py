"""The patterns in which people write times, for columns whose times are not in ISO 8601."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import pyarrow as pa
import pyarrow.compute as pc

from millrace.contract.time_format import TimeFormat
from millrace.errors import ConfigurationError

DAYS = (
    "dd/MM/yyyy", "MM/dd/yyyy", "d/M/yyyy", "M/d/yyyy", "dd.MM.yyyy", "d.M.yyyy", "yyyy/MM/dd", "yyyy/M/d", "yyyyMMdd",
    "dd-MM-yyyy", "MM-dd-yyyy", "dd/MM/yy", "MM/dd/yy", "d/M/yy", "M/d/yy", "dd.MM.yy", "dd-MMM-yyyy", "dd MMM yyyy",
    "d MMM yyyy", "MMM d, yyyy", "d MMMM yyyy", "MMMM d, yyyy", "yy/MM/dd", "yy-MM-dd", "yy.MM.dd", "dd-MM-yy",
    "MM-dd-yy",
)  # fmt: skip
"""Patterns of a day, each tried with each of CLOCKS behind it."""
PERIODS = ("yyyy-MM", "yyyy-'Q'Q", "yyyy 'Q'Q", "yyyy'Q'Q", "'Q'Q yyyy", "'Q'Q-yyyy", "'Q'Q/yyyy")
"""Patterns of a month or a quarter, which is its first day."""
IN_WORDS = ("EEE MMM dd HH:mm:ss yyyy", "EEE MMM d HH:mm:ss yyyy", "EEE, dd MMM yyyy HH:mm:ss")
"""Patterns with a weekday: of C's `ctime`, and of mails."""
CLOCKS = ("", " HH:mm", " HH:mm:ss", " H:mm", " H:mm:ss", " h:mm a", " hh:mm a", " h:mm:ss a", " hh:mm:ss a")

NARROW = 4
"""A reading is taken if any other one spans so many times the years."""
FEWEST_IN_ORDER = 20
"""Fewest different times whose order tells how they are written."""
Reading = tuple[TimeFormat, pa.Array, int]
"""A pattern, the times that it reads, and how many texts it does not read."""


@cache
def usual_patterns() -> tuple[TimeFormat, ...]:
    """The patterns that are tried, the likeliest first."""
    return tuple(map(TimeFormat, (*(day + clock for day in DAYS for clock in CLOCKS), *PERIODS, *IN_WORDS)))


def read_pattern(pattern: str, name: str) -> TimeFormat:
    """The pattern that a person gave. Raises ConfigurationError, with the column's name, if it is none."""
    found = TimeFormat(pattern)
    try:
        found.check("timestamp")
    except ValueError as error:
        raise ConfigurationError(where=name, field="--time-format", expected=str(error), came=pattern) from None
    return found


def likeliest(read: Sequence[Reading]) -> tuple[Reading | None, str]:
    """The reading for which the rows speak, and in words why; None if they leave it open."""
    first, *_ = read
    if all(each[1].equals(first[1]) for each in read):
        return first, ""
    # Rows are often in the order of time, and by one reading alone.
    in_order = [each for each in read if _is_in_order(each[1])]
    if in_order and all(each[1].equals(in_order[0][1]) for each in in_order):
        return in_order[0], ", by which the rows are in order"
    # With yy/MM/dd for dd/MM/yy, the days of a month would be the years of three decades.
    spans = sorted(((_span(each[1]), at) for at, each in enumerate(read)))
    if spans[0][0] * NARROW < spans[1][0]:
        return read[spans[0][1]], ", by which they span the fewest years"
    return None, ""


def _is_in_order(values: pa.Array) -> bool:
    """Whether the times rise or fall from row to row, and so many differ that this is no chance."""
    known = values.drop_null()
    if len(known.unique()) < FEWEST_IN_ORDER:
        return False
    before, after = known[:-1], known[1:]
    return any(pc.all(compare(before, after)).as_py() for compare in (pc.less_equal, pc.greater_equal))


def _span(values: pa.Array) -> float:
    """In seconds."""
    ends = pc.min_max(values).as_py()
    return float((ends["max"] - ends["min"]).total_seconds())
