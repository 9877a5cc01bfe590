"""A column that is the label in other words, or that of the next row, is found; one that helps honestly is not."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from console.new.proposal import Proposal
from tests.console.new.conftest import Row, proposed

Writer = Callable[..., Path]


def without(found: Proposal, name: str) -> str:
    return next((one.reason for one in found.no_features if one.name == name), "")


def labels(market: Sequence[Row], shift: int = 0) -> list[int]:
    return [int(row["Trend"] == "up") for row in [*market[shift:], *market[:shift]]]


@pytest.mark.parametrize("make", [lambda up, _: up, lambda up, noise: up + 0.4 * noise, lambda up, _: "ab"[up]])
def test_a_column_that_says_the_label_is_left_out(
    market: list[Row], as_csv: Writer, make: Callable[[int, float], object]
) -> None:
    noise = np.random.default_rng(0).random(len(market))
    rows = [row | {"settled": make(up, x)} for row, up, x in zip(market, labels(market), noise, strict=True)]
    found = proposed(as_csv(rows))
    said = r"alone it is right on 100\.0% of the test rows \(the class of most training rows on [0-9.]+%\): is it known"
    assert re.match(said, without(found, "settled"))
    assert "settled" not in found.prediction.features
    assert "settled" in proposed(as_csv(rows), keep=("settled",)).prediction.features


@pytest.mark.parametrize(
    "amount",
    [
        lambda rare, at: 17.5 * at + 3 if rare else 0,
        lambda rare, at: 17.5 * at + 3 if rare else "",
        lambda rare, at: -1.5 * at - 3 if rare else 0.25 * at,
    ],
    ids=["zero without", "empty without", "below all others"],
)
@pytest.mark.parametrize("every", [25, 101])
def test_different_amounts_of_a_rare_class_are_left_out(
    market: list[Row], as_csv: Writer, amount: Callable[[bool, int], object], every: int
) -> None:
    """As of frauds: what was paid back is known of each of them, and no amount comes twice."""
    rows = [
        {**row, "Trend": "up" if at % every == 7 else "down", "refund": amount(at % every == 7, at)}
        for at, row in enumerate(market)
    ]
    found = proposed(as_csv(rows))
    assert "alone it is right on 100.0% of the test rows" in without(found, "refund")


def test_a_column_that_is_wrong_on_every_tenth_row_stays(market: list[Row], as_csv: Writer) -> None:
    rows = [row | {"hint": up ^ (at % 7 == 0)} for at, (row, up) in enumerate(zip(market, labels(market), strict=True))]
    assert "hint" in proposed(as_csv(rows)).prediction.features


@pytest.mark.parametrize(("shift", "which"), [(-1, "before"), (1, "after")])
def test_the_label_of_the_next_row_is_left_out(market: list[Row], as_csv: Writer, shift: int, which: str) -> None:
    rows = [row | {"other": up} for row, up in zip(market, labels(market, shift), strict=True)]
    assert f"the label of the row {which}" in without(proposed(as_csv(rows)), "other")


def test_a_number_that_is_the_label_in_another_unit_is_left_out(market: list[Row], as_csv: Writer) -> None:
    rows = [row | {"kilo": int(row["demand"]) / 1000 + 3} for row in market]
    found = proposed(as_csv(rows), label="demand")
    assert re.match(r"alone it is off by [0-9.e-]+ on average \(the median by [0-9.]+\):", without(found, "kilo"))
    assert "price" in found.prediction.features
