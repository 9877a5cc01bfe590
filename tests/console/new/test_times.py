"""Times that are written as numbers, or by a clock with daylight saving, are told."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest

from millrace.console.new.times import looks_like_local_time, looks_like_times
from tests.console.new.conftest import Row, Writer, observed, proposed

TOLD = (
    "looks like Excel's day numbers (45292 is 2024-01-01 00:00, 45292.5 is 2024-01-01 12:00), and is taken as a "
    "number, not as a time; for times export the column as text in ISO 8601 (2024-01-01 12:00:00)"
)


@pytest.mark.parametrize("name", ["date", "Order Date", "day", "sold_on", "Zeitpunkt", "event.time"])
def test_day_numbers_of_a_column_that_is_called_like_a_time_are_told(name: str) -> None:
    assert looks_like_times(name, pa.array([45292.5, None, 45292]), is_text=True) == TOLD


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("amount", [45292.0, 45292.5]),
        ("sum_on_hold", [45292.0, 45292.5]),
        ("day", [1, 31]),
        ("date", [20249901, 20240102]),
        ("customer", [20240101, 20240102]),
        ("time", [20_001, 79_999]),
        ("time", [0, 1_704_067_260]),
        ("date", [45292, 45292]),
    ],
    ids=["an amount", "on hold", "day of the month", "no month", "an id", "spread", "no epoch", "one value"],
)
def test_other_numbers_are_not(name: str, cells: Sequence[float]) -> None:
    assert looks_like_times(name, pa.array(cells), is_text=True) == ""


@pytest.mark.parametrize(
    ("cells", "what"),
    [
        ([20240101, 20231231], "yyyyMMdd (20231231 is 2023-12-31, 20240101 is 2024-01-01)"),
        ([1_704_067_200, 1_704_067_260], "seconds since 1970 (1704067200 is 2024-01-01 00:00)"),
        ([1_704_067_200.5, 1_704_067_260], "seconds since 1970 (1704067200.5 is 2024-01-01 00:00)"),
        ([1_704_067_200_000, 1_704_067_260_000], "milliseconds since 1970 (1704067200000 is 2024-01-01 00:00)"),
    ],
    ids=["digits", "seconds", "parts of seconds", "milliseconds"],
)
def test_other_numbers_that_are_times_are_told(cells: Sequence[float], what: str) -> None:
    said = looks_like_times("Date", pa.array(cells), is_text=True)
    assert said.startswith(f"looks like {what}, and is taken as a number, not as a time")
    assert ("--event-time Date --time-format yyyyMMdd" in said) == what.startswith("yyyyMMdd")
    assert "--time-format" not in looks_like_times("Date", pa.array(cells), is_text=False)


def local(start: str, *, zone: str = "Europe/Berlin", days: int = 60, minutes: int = 60, meters: int = 1) -> list[str]:
    """Times of a clock, without their offset."""
    first, steps = datetime.fromisoformat(start).replace(tzinfo=UTC), days * 24 * 60 // minutes
    times = [(first + timedelta(minutes=minutes * at)).astimezone(ZoneInfo(zone)) for at in range(steps)]
    return [f"{time:%Y-%m-%d %H:%M}" for time in times for _ in range(meters)]


def told(times: Sequence[str]) -> str:
    return looks_like_local_time(observed(times, name="time", typed_text=True).cells)


@pytest.mark.parametrize(
    ("times", "said"),
    [
        (local("2023-10-01"), "the hour 2023-10-29 02:00 comes twice (data rows 673, 674)"),
        (local("2024-03-01"), "the hour 2024-03-31 02:00 does not come;"),
        (local("2024-10-15", zone="America/New_York"), "the hour 2024-11-03 01:00 comes twice"),
        (local("2024-03-20", zone="Australia/Sydney"), "the hour 2024-04-07 02:00 comes twice"),
        (local("2023-10-01", zone="Europe/London"), "the hour 2023-10-29 01:00 comes twice"),
        (local("2023-10-01", minutes=15), "(data rows 2,689, 2,690, 2,691, 2,692 and 4 more)"),
        (local("2023-10-01", meters=5), "the hour 2023-10-29 02:00 comes twice (data rows 3,361, 3,362"),
        (
            local("2023-10-01", days=200),
            "the hour 2023-10-29 02:00 comes twice (data rows 673, 674), the hour 2024-03-31 02:00 does not come;",
        ),
    ],
    ids=["autumn", "spring", "New York", "Sydney", "London", "quarters", "meters", "winter"],
)
def test_a_change_of_the_clock_is_told(times: list[str], said: str) -> None:
    found = told(times)
    assert found.startswith("looks like local time with daylight saving: the hour ")
    assert said in found
    assert found.endswith("with UTC or the offset in the text (2024-10-27T02:00:00+02:00) each time comes once")


def test_other_times_are_not() -> None:
    steady = local("2023-10-01", zone="UTC", days=200)
    rng = np.random.default_rng(0)
    assert told(steady) == ""
    assert told(local("2023-10-01", zone="Etc/GMT-1", days=200)) == ""
    assert told(local("2023-12-01")) == "", "no change in these days"
    assert told([f"{time}+02:00" for time in local("2023-10-01")]) == "", "with an offset"
    assert told([time for at, time in enumerate(steady) if at % 101]) == "", "gaps anywhere"
    assert told(sorted([*steady, *steady[::101]])) == "", "repeated anywhere"
    assert told(sorted(steady[at] for at in rng.integers(0, len(steady), 9000))) == "", "events, no series"
    assert told([time[:10] for time in steady]) == "", "days"


def test_the_time_is_the_key_of_a_series_in_which_an_hour_came_twice(market: list[Row], as_csv: Writer) -> None:
    times = local("2023-10-20", minutes=30, days=40)
    rows = [row | {"Half hour": time} for row, time in zip(market, times, strict=True)]
    rows = [{name: cell for name, cell in row.items() if name not in ("demand", "Day.of week")} for row in rows]
    said = "Half hour: looks like local time with daylight saving: the hour 2023-10-29 02:00 comes twice (data rows "
    for words, refused in (({}, 2), ({"has_no_key": True}, 0)):
        found = proposed(as_csv(rows), **words)
        assert any(note.startswith(said) for note in found.notes)
        assert len(found.refused) == refused
    assert proposed(as_csv(rows)).prediction.key == ("Half hour",)


DAYS_IN_ORDER = [date(2023, 1, 1) + timedelta(days=at) for at in range(400)]


@pytest.mark.parametrize(
    ("written", "days", "pattern"),
    [
        ("%y/%m/%d", DAYS_IN_ORDER, "yy/MM/dd"),
        ("%d/%m/%y", DAYS_IN_ORDER, "dd/MM/yy"),
        ("%d/%m/%Y", [day for day in DAYS_IN_ORDER if day.day < 13], "dd/MM/yyyy"),
        ("%m/%d/%Y", [day for day in DAYS_IN_ORDER[::-1] if day.day < 13], "MM/dd/yyyy"),
        ("%y/%m/%d", [*DAYS_IN_ORDER[200:], *DAYS_IN_ORDER[:200]], "yy/MM/dd"),
        ("%m/%d/%Y", sorted((day for day in DAYS_IN_ORDER if day.day < 13), key=lambda day: day.day), ""),
        ("%a %b %d 00:00:00 %Y", DAYS_IN_ORDER, "EEE MMM dd HH:mm:ss yyyy"),
    ],
)
def test_dates_are_read_as_the_rows_tell_or_are_asked(written: str, days: list[date], pattern: str) -> None:
    """By one reading alone the rows are in order, or span few years. Without either somebody has to say it."""
    found = observed([day.strftime(written) for day in days], typed_text=True)
    assert (found.time_format.pattern if found.time_format else "") == pattern
    assert found.may_be_time is (not pattern)
    if pattern:
        assert found.cells.cast(pa.date32()).to_pylist() == days
