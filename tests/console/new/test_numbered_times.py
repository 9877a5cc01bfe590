"""Times that are written as numbers are told, and stay the numbers that they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pytest

from console.new.times import looks_like_times
from millrace.errors import ConfigurationError
from tests.console.new.conftest import Row, proposed

Writer = Callable[..., Path]
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


def test_they_are_told_where_a_time_is_looked_for(market: list[Row], as_csv: Writer) -> None:
    with_days = [row | {"date": 45292 + at / 48, "meter": at} for at, row in enumerate(market)]
    found = proposed(as_csv(with_days))
    assert found.contract.column("date").kind == "float64"
    assert any(
        note.startswith("date: looks like Excel's day numbers (45292 is 2024-01-01 00:00") for note in found.notes
    )
    path = as_csv([{name: cell for name, cell in row.items() if name != "Half hour"} for row in with_days])
    for words in ({}, {"event_time": "date"}):
        with pytest.raises(ConfigurationError, match=r"date:? looks like Excel's day numbers .* as text in ISO 8601"):
            proposed(path, **words)
