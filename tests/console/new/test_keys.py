"""The key of a panel: found where it is safe, else asked for with the fitting answer first."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pytest

from millrace.console.new.keys import Panels
from millrace.console.new.roles import Guess, Guesser
from millrace.errors import ConfigurationError
from tests.console.new.conftest import Writer, observed, proposed

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


def test_keys_that_make_other_series_are_asked_for() -> None:
    # Each row of a day has its own place in the shop's plan, and its own place on the lorry, which are other things.
    with pytest.raises(ConfigurationError) as raised:
        guessed(place=lambda at: f"p{at % 12}", lorry=lambda at: f"l{(at + at // 12) % 12}")
    assert {part.split(" (")[0] for part in raised.value.expected.split(", or ")} == {
        "--key lorry,day", "--key place,day",
    }  # fmt: skip


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


@pytest.mark.parametrize(("name", "is_told"), [("product", True), ("product_code", False)])
def test_what_a_code_as_a_key_does_is_told(name: str, is_told: bool, as_csv: Callable[..., Path]) -> None:
    """A product may be sold again: then the later row would take the place of the earlier one."""
    rows = [
        {name: f"P-{7 * at + 1013}", "weight": at * 7919 % 211 / 3, "big": "no" if at % 3 else "yes"}
        for at in range(400)
    ]
    guess = proposed(as_csv(rows), label="big").guesses["key"]
    assert guess.value == (name,)
    assert ("--no-key" in guess.reason) is is_told


def test_a_number_that_names_no_row_is_no_key(as_csv: Callable[..., Path]) -> None:
    """Populations differ from row to row, as numbers of rows do; a model may learn from them."""
    rows = [
        {"account": 7 + at, "pop": 60_011 + (at * 7919) % 1009 * 1_000_003, "big": "yes" if at % 3 else "no"}
        for at in range(400)
    ]
    without = [{"pop": row["pop"], "big": row["big"]} for row in rows]
    numbered, alone = (
        proposed(as_csv(each, name=name), label="big") for each, name in ((rows, "n.csv"), (without, "a.csv"))
    )
    assert numbered.prediction.key == ("account",)
    assert alone.prediction.key == ("row_id",)
    assert alone.prediction.features == ("pop",)


def test_a_birthday_is_no_moment_that_a_row_is_about(as_csv: Writer) -> None:
    """Without another column of times, `new` asks for one."""
    rows = [
        {"id": at, "birthday": f"{1950 + at % 50}-03-0{1 + at % 9}", "n": at % 7, "y": "ab"[at % 2]}
        for at in range(300)
    ]
    with pytest.raises(ConfigurationError) as caught:
        proposed(as_csv(rows), label="y")
    assert caught.value.field == "event time"
    later = [row | {"asked": f"2024-0{1 + row['id'] % 9}-05"} for row in rows]
    assert proposed(as_csv(later), label="y").prediction.event_time == "asked"
