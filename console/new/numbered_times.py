"""Recognises times that are written as numbers, which are numbers to a contract.

Examples: Excel's 45292.5 for noon of 1 January 2024, 20240101, seconds since 1970."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from console.new.counts import words_of_name

if TYPE_CHECKING:
    import pyarrow as pa

NAMES = {
    "date", "day", "time", "datetime", "timestamp", "ts", "epoch", "when", "datum", "tag", "zeit", "zeitpunkt", "fecha",
    "hora", "jour", "heure",
}  # fmt: skip
"""Words in the name of a column of times."""
LAST_WORDS = {"at", "on"}
"""Last words of such a name: measured_at, sold_on."""
DAY_0 = datetime(1899, 12, 30, tzinfo=UTC)
"""Day 0 of Excel, for all days from March 1900 on.
https://support.microsoft.com/office/date-systems-in-excel-e7fe7167-48a9-4b96-bb53-5612a800b487"""
DAYS = (20_000, 80_000)
"""Excel's numbers of days from 1954 to 2119."""
LONGEST = 20_000
"""Most days from the first to the last. Amounts and durations spread further."""
SECONDS = (3 * 10**8, 4 * 10**9)
"""Seconds since 1970, from 1979 to 2096."""
UNITS = {"seconds": 1, "milliseconds": 1_000, "microseconds": 1_000_000, "nanoseconds": 1_000_000_000}
DIGITS = "yyyyMMdd"


def looks_like_times(name: str, numbers: pa.Array, *, is_text: bool) -> str:
    """A remark on a column of numbers that is called like a time and may hold times; "" for other columns.

    `is_text` says that the file has the numbers as text, which `--time-format` can read."""
    import pyarrow.compute as pc

    words = words_of_name(name)
    if not (NAMES & {*words} or LAST_WORDS & {*words[-1:]}):
        return ""
    low, high = pc.min_max(numbers).as_py().values()
    what = _what(low, high) if low < high else ""
    if not what:
        return ""
    reads = f", or --event-time {name} --time-format {DIGITS}" if is_text and what.startswith(DIGITS) else ""
    return (
        f"looks like {what}, and is taken as a number, not as a time; for times export the column as text in ISO 8601 "
        f"(2024-01-01 12:00:00){reads}"
    )


def _what(low: float, high: float) -> str:
    """Which times the numbers from `low` to `high` may be; "" if they may be none."""
    if DAYS[0] <= low < high <= min(DAYS[1], low + LONGEST):
        return f"Excel's day numbers ({low:.10g} is {_of_excel(low)}, {high:.10g} is {_of_excel(high)})"
    # Numbers that are no dates raise ValueError, and are tried as seconds.
    with suppress(ValueError):
        first, last = (datetime.strptime(f"{end:08}", "%Y%m%d").replace(tzinfo=UTC) for end in (low, high))
        return f"{DIGITS} ({low} is {first:%Y-%m-%d}, {high} is {last:%Y-%m-%d})"
    for unit, per_second in UNITS.items():
        if SECONDS[0] <= low / per_second < high / per_second <= SECONDS[1]:
            return f"{unit} since 1970 ({low:.20g} is {datetime.fromtimestamp(low // per_second, UTC):%Y-%m-%d %H:%M})"
    return ""


def _of_excel(day: float) -> str:
    return f"{DAY_0 + timedelta(minutes=round(day * 1440)):%Y-%m-%d %H:%M}"
