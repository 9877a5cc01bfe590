"""The key of a panel: the fitting one, with the others beside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from millrace.console.new.keys import Panels
from millrace.console.new.remarks import too_good
from millrace.console.new.roles import Guess, Guesser
from millrace.messages.trial import Tried
from tests.console.new.conftest import observed, proposed, written

DAYS = 60
SHOPS, GOODS = [f"s{at}" for at in range(6)], ["tea", "coffee"]


def guessed(
    *, repeats: int = 0, choice: tuple[str, ...] = (), days: int = 1, **more: Callable[[int], Any]
) -> Guess[tuple[str, ...]] | None:
    """The key that is guessed for a panel of shops and goods with a label ahead.

    `repeats` rows come a second time, rows are some days apart, and `more` are columns by the row's number."""
    cells = [
        (shop, good, date(2024, 1, 1) + timedelta(days * day)) for day, shop, good in product(range(DAYS), SHOPS, GOODS)
    ]
    cells += cells[:repeats]
    names = {"shop": 0, "good": 1, "day": 2}
    columns = {name: observed([row[at] for row in cells], name=name) for name, at in names.items()}
    columns |= {name: observed([cell(at) for at in range(len(cells))], name=name) for name, cell in more.items()}
    label = observed([at / 7 for at in range(len(cells))], name="sales")
    guesser = Guesser(where="panel.csv", columns=(*columns.values(), label))
    return guesser.key(choice, columns["day"], label, looks_around=True)


NOISE = Random(7)


@pytest.mark.parametrize(
    ("repeats", "more", "key"),
    [
        (0, {}, ("shop", "good", "day")),
        (5, {}, ("shop", "good", "day")),
        (0, {"weather": lambda at: NOISE.choice("abcdef")}, ("shop", "good", "day")),  # of the row, not of an entity
        (0, {"units": lambda at: NOISE.randrange(10**9)}, ("shop", "good", "day")),  # alone it tells all rows apart
        (0, {"floor": lambda at: at % 12 // 2}, ("shop", "good", "day")),  # says the same as the shop
        (0, {"till_id": lambda at: at % 12}, ("till_id", "day")),
    ],
)
def test_the_columns_that_make_series_are_the_key(
    repeats: int, more: dict[str, Callable[[int], Any]], key: tuple[str, ...]
) -> None:
    found = guessed(repeats=repeats, **more)
    assert found is not None
    assert found.value == key


def test_too_many_repeated_rows_are_not_taken_silently() -> None:
    assert guessed(repeats=100) is None


def test_of_keys_that_make_other_series_the_first_is_taken_and_the_others_are_told() -> None:
    # Each row of a day has its own place in the shop's plan, and its own place on the lorry, which are other things.
    found = guessed(place=lambda at: f"p{at % 12}", lorry=lambda at: f"l{(at + at // 12) % 12}")
    assert found is not None
    assert {",".join(found.value), *found.others} == {"lorry,day", "place,day"}


def test_a_key_that_would_lose_rows_is_taken_with_the_better_one_beside_it() -> None:
    found = guessed(choice=("shop", "day"))
    assert found is not None
    assert found.value == ("shop", "day")
    assert "--key shop,good,day" in found.reason


def test_of_the_nearest_keys_a_series_comes_first() -> None:
    """One day in twenty comes twice: the weather tells more rows apart, but makes no series of them."""
    times = [date(2024, 1, 1) + timedelta(at - at // 20) for at in range(400)]
    weather = observed([NOISE.choice("abcdefgh") for _ in times], name="weather")
    best, *others = Panels([weather], observed(pa.array(times), name="day")).nearest()
    assert (best.columns, best.repeated) == ((), 19)
    assert [one.repeated < 19 for one in others] == [True]


ROWS = 960


def figure(who: str, value: float) -> Tried:
    return Tried.model_validate(
        {"who": who, "name": "0" if who == "candidate" else "naive", "measure": "log_loss", "figure": value}
        | {"behind": 0, "deviation": 0, "rows": 100, "epochs": 1, "seconds": 1}
    )


@pytest.mark.parametrize(
    ("column", "said"),
    [("closed_at_desk", "whether closed_at_desk is filled"), ("state", "state alone"), ("", "no column alone")],
)
def test_a_figure_too_good_to_be_true_names_the_column(tmp_path: Path, column: str, said: str) -> None:
    random = np.random.default_rng(0)
    outcome = random.random(ROWS) < 0.4
    known = outcome ^ (random.random(ROWS) < 0.05)
    cells = {
        "closed_at_desk": [
            float(desk) if is_known else None for desk, is_known in zip(random.random(ROWS), known, strict=True)
        ],
        "state": np.where(known, "done", "open").tolist(),
    }
    table = pa.table(
        {"x": random.normal(0, 1, ROWS), **({column: cells[column]} if column else {}), "outcome": outcome}
    )
    found = proposed(written(tmp_path / "a.parquet", table), label="outcome", has_no_event_time=True)
    good, fair = (
        replace(found, trial=replace(found.trial, tried=(figure("candidate", value), figure("rival", 0.65))))
        for value in (0.06, 0.5)
    )
    assert said in "".join(too_good(good))
    assert len([*too_good(fair)]) == bool(column)
