"""What is conspicuous in the rows is told, and a few numbers far from all others set no range."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from millrace.console.new.columns import Observed, observe
from millrace.console.new.contract import column_of
from millrace.console.new.numbers import all_far_values, far_values, few_below_zero
from millrace.console.new.remarks import _of_column, empty_cells, findings, spellings, standing_still
from millrace.contract.rules.range import Range
from tests.console.new.conftest import observed, proposed

NOISE = np.random.default_rng(0)


def test_empty_cells_are_counted_and_named() -> None:
    seen = []
    for at, lost in enumerate((0, 30, 2, 1, 1, 1, 1)):
        cells = pa.chunked_array([pa.array([None] * lost + ["north", "south"] * 50)])
        found = observe(f"c{at}", cells, typed_text=True)
        assert isinstance(found, Observed)
        seen.append(found)
    (said,) = empty_cells(seen)
    assert said == (
        "empty cells, which are missing: c1 30 (23.1%), c2 2 (2.0%), c3 1 (1.0%), c4 1 (1.0%), c5 1 (1.0%), "
        "1 more columns"
    )
    assert list(empty_cells(seen[:1])) == []
    words = observe("x", pa.chunked_array([["", "NA", None, "a", "b"]]), typed_text=True)
    assert isinstance(words, Observed)
    assert words.empty == 1, "words are told apart, an empty text among them"
    assert "1 cell '' taken as missing" in words.changed


def test_a_few_numbers_far_from_all_others_set_no_range() -> None:
    seen = observed([*NOISE.normal(15, 5, 2000), 9999.0, -999.0])
    assert far_values(seen) == [-999.0, 9999.0]
    found = column_of(seen).find(Range)
    assert found is not None
    assert -30 < float(found.minimum) < float(found.maximum) < 60  # type: ignore[arg-type]


def dry_hours(*odd: float) -> list[float]:
    """Dry in 93 % of the hours."""
    wet = NOISE.random(2000) < 0.07
    return [*np.round(NOISE.lognormal(1, 1.1, 2000) * wet, 1).tolist(), *odd]


@pytest.mark.parametrize("sign", [1, -1])
def test_an_odd_cell_is_found_where_most_cells_are_zero(sign: int) -> None:
    seen = observed([sign * cell for cell in dry_hours(9831.0)])
    assert far_values(seen) == [sign * 9831.0]
    found = column_of(seen).find(Range)
    assert found is not None
    assert abs(found.maximum if sign > 0 else found.minimum) < 100  # type: ignore[arg-type]
    assert far_values(observed([sign * cell for cell in dry_hours()])) == []


@pytest.mark.parametrize("power", [0.8, 1.5, 3.0])
def test_a_heavy_tail_has_no_odd_cell(power: float) -> None:
    """Whatever its largest value is beside the next one."""
    assert [far_values(observed(NOISE.pareto(power, 3000))) for _ in range(50)] == [[]] * 50


@pytest.mark.parametrize(
    "cells",
    [
        NOISE.normal(0, 1, 20_000),
        NOISE.lognormal(3, 1.5, 20_000),
        NOISE.standard_exponential(20_000),
        [*NOISE.normal(0, 1, 1000), *[99.0] * 20],
        [1.0, 2.0] * 500 + [1e6],
    ],
    ids=["normal", "money", "waiting", "many of one value", "few values"],
)
def test_a_tail_is_no_mistake(cells: Any) -> None:
    assert far_values(observed(cells)) == []


@pytest.mark.parametrize(
    ("cells", "far"),
    [
        ([*NOISE.normal(15, 5, 2000), *[-999.0] * 12], [-999.0]),
        ([*NOISE.normal(15, 5, 2000), *[-999.0] * 80], [-999.0]),
        ([*NOISE.normal(15, 5, 2000), *[-999.0] * 180], [-999.0]),
        ([*NOISE.normal(15, 5, 2000), *[0.0] * 180], []),
        ([*NOISE.lognormal(7, 1, 9000), *[99_999_999.0] * 30], [99_999_999.0]),
        ([*NOISE.lognormal(7, 1, 9000), *[-1.0] * 400], [-1.0]),
        ([*NOISE.lognormal(3, 1.5, 20_000)], []),
        ([*NOISE.integers(0, 5, 3000).astype(float), *range(10)], []),
    ],
    ids=[
        "a mark below",
        "a mark of 4 %",
        "a mark of 8 %",
        "zeros",
        "a mark above amounts",
        "a mark below amounts",
        "money",
        "counts",
    ],
)
def test_a_mark_that_comes_often_is_told_and_stays_in_the_range(cells: list[float], far: list[float]) -> None:
    seen = observed(cells)
    assert far_values(seen) == [], "too many to quarantine their rows unasked"
    assert list(dict.fromkeys(all_far_values(seen))) == far
    said = [line for line in _of_column(seen) if "stay in the range" in line]
    assert len(said) == len(far)
    assert all(f"{cells.count(value):,} cells" in said[0] and f"{value:g}" in said[0] for value in far)


AGES = NOISE.integers(18, 90, 2000).astype(float)


@pytest.mark.parametrize(
    ("others", "below"),
    [
        (AGES, [-1.0] * 3),
        (AGES, [-3.0, -2.0, -1.0]),
        (NOISE.poisson(2, 2000).astype(float), [-1.0] * 10),
        (NOISE.integers(0, 90, 2000).astype(float), [-1.0] * 100),
        (NOISE.uniform(0, 100, 2000), [-13.5, -2.0]),
        (NOISE.lognormal(3, 1, 2000), [-8.9]),
    ],
    ids=["a mark", "ages", "counts", "a mark of 5 %", "shares", "amounts"],
)
def test_few_numbers_below_0_are_told(others: Any, below: list[float]) -> None:
    cells = [*others, *below]
    [said] = [line for line in _of_column(observed(cells)) if "below 0" in line]
    assert said.startswith(
        f"x: {len(below):,} cell{' is' if len(below) == 1 else 's are'} below 0, all others are not: "
    )
    assert ", ".join(f"{value:g}" for value in dict.fromkeys(below)) in said
    assert few_below_zero(observed(cells)) == below
    found = column_of(observed(cells)).find(Range)
    assert found is not None
    assert found.minimum is not None
    assert float(found.minimum) < 0  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "cells",
    [
        NOISE.normal(15, 5, 20_000),
        NOISE.normal(0, 1, 2000),
        np.round(NOISE.normal(12, 5, 20_000)),
        [*AGES, *-AGES[:100]],
        [*NOISE.normal(15, 1, 2000), *[-999.0] * 12],
        AGES,
    ],
    ids=["degrees", "both", "whole degrees", "many", "far from all others", "none"],
)
def test_a_tail_below_0_and_what_is_told_otherwise_are_no_few(cells: Any) -> None:
    assert few_below_zero(observed(cells)) == []


def test_zeros_of_a_skewed_column_are_no_marks() -> None:
    """Distances of which some are 0.0 and others 0.1: nothing lies between them and the others."""
    kilometres = np.round(NOISE.exponential(18, 8000), 1)
    assert (kilometres == 0).sum() > 10
    assert all_far_values(observed(kilometres)) == []
    assert set(all_far_values(observed([*kilometres, *[-999.0] * 40]))) == {-999.0}


def test_words_in_several_spellings_are_told() -> None:
    names = observe("x", pa.chunked_array([["New  York", "new york", "Rome"] * 2]), typed_text=False)
    assert isinstance(names, Observed)
    assert [*spellings([names])] == [
        "x: values that differ in capitals or spaces alone are different: 'New  York' (2) and 'new york' (2)"
    ]


def test_an_image_with_two_labels_is_told():
    rows = pa.table(
        {
            "id": ["a/1", "b/1", "b/2", "b/3", "a/2"],
            "image": pa.array([b"same", b"same", b"other", b"other", None], pa.binary()),
            "label": ["a", "b", "b", "b", "a"],
        }
    )
    label = observe("label", rows["label"], typed_text=False)
    assert isinstance(label, Observed)
    said = findings([], label, rows, None, ["id"])
    assert "image: the same image with different labels, 1×: a/1 ('a') and b/1 ('b'): no model is right on both" in said
    assert "image: 1 image repeats another one of the same label: the same image may train and test" in said
    assert not [line for line in findings([], label, rows.slice(1, 2), None, ["id"]) if line.startswith("image")]


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


def test_a_far_number_that_the_range_takes_is_not_said_to_be_left_out() -> None:
    """The range of a share is 0 to 1: a price of 0 is far from all others and in it."""
    shares, amounts = 0.4 + np.arange(2000) / 1e5, 400 + np.arange(2000) / 100
    assert far_values(observed([*shares, 0.0, 0.0])) == [0.0, 0.0]
    assert not [line for line in _of_column(observed([*shares, 0.0, 0.0])) if "quarantined" in line]
    [said] = [line for line in _of_column(observed([*amounts, 0.5, 0.5])) if "quarantined" in line]
    assert said.endswith("left out of the range and so quarantined: 0.5")
