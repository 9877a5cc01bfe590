"""Recognises what is special about times: written as numbers, of a local clock, far from the others, in a series."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from millrace.console.new.words import words_of_name
from millrace.console.words import first_few
from millrace.contract.time_format import TimeFormat
from millrace.errors import ConfigurationError

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
REGULAR = 0.9
"""Least share of the distances between neighbours that must be the usual distance."""
HOUR_S = 3600
STEPS = 24
"""Steps of a history if a day has fewer steps, or more than MOST_STEPS."""
MOST_STEPS = 96
"""Most steps of a history of a whole day: one for each quarter of an hour."""
Times = npt.NDArray[np.datetime64]
Places = npt.NDArray[np.int64]
MONTHS = (3, 4, 9, 10, 11)
"""Months in which clocks are changed, north and south of the equator."""
HOURS = (0, 1, 2, 3)
"""Hours of a Sunday at which clocks are changed."""
SUNDAY = 3
"""Days since 1970, modulo 7, on a Sunday: 1 January 1970 was a Thursday."""
UNEVEN = 0.25
"""Share by which the rows of an hour may differ from the rows of the hour before, in REGULAR of all hours."""
FEWEST_HOURS = 48
TWICE = 1.5
"""An hour came twice if it has 1.5 times the rows of either hour beside it."""
SHOWN = 4
MIDDLE_HALF = (0.25, 0.75)
FAR_TIMES = 10
"""A day lies far if it is 10 spans of the middle half away from that half, and at least DECADES."""
DECADES = 30 * 365
"""Days."""


def looks_like_times(name: str, numbers: pa.Array, *, is_text: bool) -> str:
    """A remark on a column of numbers that is called like a time and may hold times; "" for other columns.

    `is_text` says that the file has the numbers as text, which `--time-format` can read."""

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


def times_of_day(clocks: Sequence[str], day: str) -> Iterator[str]:
    """A sentence on each of the `clocks` (13:00) that is called like a time, beside the column `day` of dates."""
    for name in clocks:
        if NAMES & {*words_of_name(name)}:
            yield f"{name} may be the time of day of {day}: in one column (2024-05-01 13:00) a row would have both"


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


@dataclass(frozen=True, kw_only=True)
class Series:
    """Rows of entities at equal distances."""

    every_hours: float
    """The distance of two rows of an entity, in hours."""

    @property
    def hours(self) -> float:
        """How far back a history reaches: one day if that is STEPS to MOST_STEPS whole steps, else STEPS steps."""
        a_day = 24 / self.every_hours
        return (int(a_day) if a_day.is_integer() and STEPS <= a_day <= MOST_STEPS else STEPS) * self.every_hours

    @property
    def of_a_day(self) -> int:
        """The steps of a day; 1 if they are longer."""
        return max(1, round(24 / self.every_hours))

    @property
    def step(self) -> str:
        """The distance in words."""
        return hours_in_words(self.every_hours)


def hours_in_words(hours: float) -> str:
    """The hours as people say them: `15 minutes`, `24 h`, `7 days`."""
    return f"{hours * 60:g} minutes" if hours < 1 else f"{hours:g} h" if hours < 48 else f"{hours / 24:g} days"


def find_series(rows: pa.Table, *, key: Sequence[str], event_time: str) -> Series | None:
    """The series that the rows are; None if they are no series."""

    from millrace.features.as_of import entity_times

    if event_time not in key:
        return None
    [found] = entity_times([rows], entity=[name for name in key if name != event_time], event_time=event_time)
    # Sorted by entity, then by time. A difference counts only between two rows of the same entity.
    order = np.lexsort((found.time_N, found.entity_N))
    apart_s = np.diff(found.time_N[order])[(np.diff(found.entity_N[order]) == 0)] // 1_000_000
    if len(apart_s) < rows.num_rows // 2:
        return None
    distances, counts = np.unique(apart_s, return_counts=True)
    usual = int(distances[counts.argmax()])
    return None if usual <= 0 or counts.max() < REGULAR * len(apart_s) else Series(every_hours=usual / HOUR_S)


def looks_like_local_time(cells: pa.Array) -> str:
    """A remark on times that repeat an hour or leave one out just where clocks are changed; "" for other times."""

    if not pa.types.is_timestamp(cells.type) or cells.type.tz is not None:
        return ""
    known_N = np.flatnonzero(~np.asarray(cells.is_null()))
    times: Times = cells.drop_null().cast(pa.timestamp("us")).to_numpy()
    hour_N = times.astype("datetime64[h]").astype("int64")
    first, last, hours = hour_N.min(initial=2**40), hour_N.max(initial=0), len(np.unique(hour_N))
    # Of two days at least, and without more gaps than a series has.
    if not FEWEST_HOURS <= last - first + 1 < hours / REGULAR + 3:
        return ""
    rows_H = np.bincount(hour_N - first)
    # Nearly every hour has about as many rows as the one before it; one without rows counts as one row.
    if np.mean((np.abs(np.diff(rows_H)) / np.maximum(rows_H[:-1], 1)) <= UNEVEN) < REGULAR:
        return ""
    # Three rows: the number of rows in each hour, in the one before and in the one after. The first and the last hour
    # have no neighbour on one side and are left out.
    near_H = np.stack([rows_H[1:-1], rows_H[:-2], rows_H[2:]])
    twice_C = _changes(first, near_H[0] >= TWICE * near_H[1:].max(axis=0), near_H)
    none_C = _changes(first, near_H[0] == 0, near_H)
    said = [
        *(f"the hour {_moment(hour)} comes twice ({_places(known_N[hour_N == hour])})" for hour in twice_C[:SHOWN]),
        *(f"the hour {_moment(hour)} does not come" for hour in none_C[:SHOWN]),
    ]
    if not said:
        return ""
    return (
        f"looks like local time with daylight saving: {', '.join(said)}; it is taken as it is written, as if all hours "
        "were of one clock; with UTC or the offset in the text (2024-10-27T02:00:00+02:00) each time comes once"
    )


def _changes(first: int, odd_H: npt.NDArray[np.bool_], near_H: Places) -> Places:
    """The odd hours, since 1970, at which a clock may have been changed.

    Empty if as many odd hours lie elsewhere. `odd_H` and `near_H` begin with the second hour, since the first has none
    before it: `first` is the number of that first hour, since 1970. `near_H` has three rows: how many rows each hour
    has, the one before and the one after."""

    # Both neighbours have rows: an hour at the edge of a gap is no change of the clock.
    hour_C = np.flatnonzero(odd_H & (near_H[1:].min(axis=0) > 0)) + first + 1
    months_C = hour_C.astype("datetime64[h]").astype("datetime64[M]").astype(int) % 12 + 1
    is_change_C = (hour_C // 24 % 7 == SUNDAY) & np.isin(hour_C % 24, HOURS) & np.isin(months_C, MONTHS)
    return hour_C[is_change_C] if 2 * is_change_C.sum() > len(hour_C) else hour_C[:0]


def _moment(hour: np.int64) -> str:

    return str(np.datetime64(int(hour), "h").astype("datetime64[m]")).replace("T", " ")


def _places(place_N: Places) -> str:
    """The rows in words, as in `data rows 1,395, 1,396`. They are counted from 1, without the line of names."""
    return f"data rows {first_few([f'{int(place) + 1:,}' for place in place_N], SHOWN)}"


def micros(cells: pa.Array) -> pa.Array:
    """The times in microseconds since 1970."""
    return cells.cast(pa.timestamp("us", getattr(cells.type, "tz", None))).cast(pa.int64())


def far_times(cells: pa.Array) -> list[tuple[date, int]]:
    """The days that lie decades from the usual ones, ascending, each with its number of rows.

    Such a day often means that there is none: 1900-01-01 or 9999-12-31."""

    if not pa.types.is_temporal(cells.type) or cells.null_count == len(cells):
        return []
    days = np.asarray(pc.cast(cells.drop_null(), pa.date32(), safe=False).view(pa.int32()))
    low, high = np.quantile(days, MIDDLE_HALF)
    room = max(DECADES, FAR_TIMES * (high - low))
    values, counts = np.unique(days[(days < low - room) | (days > high + room)], return_counts=True)
    return [(date(1970, 1, 1) + timedelta(int(day)), int(many)) for day, many in zip(values, counts, strict=True)]


PATTERNS = (
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
    return tuple(map(TimeFormat, (*(day + clock for day in PATTERNS for clock in CLOCKS), *PERIODS, *IN_WORDS)))


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
