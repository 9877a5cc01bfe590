"""A stuck sensor is named; what rests or changes by steps is not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from console.new.remarks import standing_still
from tests.console.new.conftest import proposed

FIRST = datetime.fromisoformat("2023-01-01")
HOURS = 24 * 365
DRAWS = np.random.default_rng(0)
TEMPERATURE = (10 + 8 * np.sin(np.arange(HOURS) / 24 * 2 * np.pi) + DRAWS.normal(0, 2, HOURS)).round(1)
STUCK = np.where((np.arange(HOURS) >= 2000) & (np.arange(HOURS) < 2168), 3.2, TEMPERATURE)


def said(values: Any, **columns: Any) -> list[str]:
    hours = pa.array([FIRST + timedelta(hours=at) for at in range(len(values))], pa.timestamp("us"))
    rows = pa.table({"at": hours, "value": pa.array(values, from_pandas=True), **columns})
    series = len(set(columns.get("site", [""])))
    return list(standing_still(rows, ["value"], key=[*columns, "at"], event_time="at", series=series))


def test_a_week_of_one_number_is_named_with_its_time() -> None:
    [line] = said(STUCK)
    assert line == (
        "value: 3.2 in 168 rows in a row, from 2023-03-25 08:00 to 2023-04-01 07:00: did the sensor stand still?"
    )


def test_also_where_the_week_is_much_of_a_short_series() -> None:
    [line] = said(STUCK[1900:2400])
    assert "168 rows in a row" in line


def test_the_longest_of_several_times_is_named() -> None:
    [line] = said(np.where((np.arange(HOURS) >= 5000) & (np.arange(HOURS) < 5040), -9.0, STUCK))
    assert "3.2 in 168 rows" in line
    assert "2023-04-01 07:00, and 1 more such time:" in line


def test_a_missing_number_ends_no_such_time() -> None:
    [line] = said(np.where(np.arange(HOURS) == 2100, np.nan, STUCK))
    assert "3.2 in 167 rows in a row, from 2023-03-25 08:00 to 2023-04-01 07:00" in line


def test_of_several_sites_the_one_is_named() -> None:
    """Rows of all sites at each hour; a run does not go on from one site to the next."""
    other = DRAWS.normal(0, 9, 2400).round(1)
    values = np.column_stack([other, STUCK[:2400]]).ravel()
    sites = ["north", "south"] * 2400
    hours = pa.array([FIRST + timedelta(hours=at // 2) for at in range(4800)], pa.timestamp("us"))
    rows = pa.table({"site": sites, "at": hours, "value": values})
    [line] = standing_still(rows, ["value"], key=["site", "at"], event_time="at", series=2)
    assert "3.2 in 168 rows in a row of site south, from 2023-03-25 08:00" in line


def rain() -> Any:
    """Dry for four days of five: spells of some days."""
    dry = np.repeat(DRAWS.random(HOURS // 8) < 0.8, 8)
    return np.where(dry, 0.0, DRAWS.exponential(2, HOURS).round(1))


USUAL: dict[str, Any] = {
    "noise": TEMPERATURE,
    "whole degrees": TEMPERATURE.round(),
    "rain": rain(),
    "sunshine": np.clip(np.sin(np.arange(HOURS) / 24 * 2 * np.pi) * DRAWS.uniform(0.5, 1, HOURS), 0, None).round(3),
    "a tariff by the month": (np.arange(HOURS) // 720 * 1.7 + 0.1 * (np.arange(HOURS) // 300)).round(2),
    "a switch": np.repeat(DRAWS.integers(0, 3, HOURS // 365), 365).astype(float),
    "constant": np.full(HOURS, 4.0),
    "heating": np.where(abs(np.arange(HOURS) - 4000) < 1500, 0.0, TEMPERATURE + 20),
    "a dimmed lamp": np.where((abs(np.arange(HOURS) - 4000) < 90) | (DRAWS.random(HOURS) < 0.1), 5.0, TEMPERATURE),
    "an afternoon": np.where(abs(np.arange(HOURS) - 4000) < 6, 3.2, TEMPERATURE),
    "missing for a week": np.where(STUCK == 3.2, np.nan, STUCK),
}


@pytest.mark.parametrize("values", USUAL.values(), ids=USUAL)
def test_what_rests_or_changes_by_steps_is_usual(values: Any) -> None:
    assert said(values) == []


def test_a_proposal_of_a_series_tells_it(as_csv: Callable[..., Path]) -> None:
    rows = [
        {"at": (FIRST + timedelta(hours=at)).isoformat(), "outside": float(STUCK[at]), "load": float(TEMPERATURE[at])}
        for at in range(1200, 2400)
    ]
    found = proposed(as_csv(rows), label="load")
    assert [note for note in found.notes if "stand still" in note] == [
        "outside: 3.2 in 168 rows in a row, from 2023-03-25 08:00 to 2023-04-01 07:00: did the sensor stand still?"
    ]
