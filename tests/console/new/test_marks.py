"""Numbers with a currency, a percent sign or a unit beside them are told, and stay text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from console.new.columns import Observed, observe
from console.new.words import looks_marked
from millrace.errors import ConfigurationError
from tests.console.new.conftest import Row, proposed

Writer = Callable[..., Path]


@pytest.mark.parametrize(
    ("cells", "plain"),
    [
        (["12.5%", "7 %"], "12.5"),
        (["$1,234.50", "$7"], "1,234.50"),
        (["($1,234.50)", "$7"], "1,234.50"),
        (["-$3", "$-4"], "3"),
        (["1.234,50 EUR", "0,99 EUR"], "1.234,50"),
        (["USD 12", "EUR 13"], "12"),
        (["1 234,50 €", "7 €"], "1 234,50"),
        (["12 kg", "7 kg", "old"], "12"),
        (["21.5°C", "-3 °C"], "21.5"),
        (["120 km/h", "30 km/h"], "120"),
    ],
)
def test_a_mark_beside_numbers_is_told(cells: Sequence[str], plain: str) -> None:
    said = looks_marked(pa.array(cells))
    assert said.startswith(f"text, as its numbers have a mark beside them: {cells[0]!r}")
    assert f"for numbers write them without it ({plain}) and in one form" in said


@pytest.mark.parametrize(
    "cells",
    [
        ["12a", "12b", "13"],
        ["9 AM", "3 pm"],
        ["1234 AB", "1234 CD", "99 EF", "7 GH"],
        ["12 Main Street", "13 Main Street"],
        ["a%", "b%"],
        ["10:30", "11:30"],
        ["M12", "M13"],
        ["12 kg", "old", "new"],
    ],
    ids=["rooms", "hours", "postcodes", "addresses", "words", "clock", "codes", "few"],
)
def test_other_texts_are_not(cells: Sequence[str]) -> None:
    assert looks_marked(pa.array(cells)) == ""


@pytest.mark.parametrize("typed_text", [True, False])
def test_they_are_text_of_any_format(typed_text: bool) -> None:
    found = observe("paid", pa.chunked_array([[f"{at} EUR" for at in range(50)]]), typed_text=typed_text)
    assert isinstance(found, Observed)
    assert (found.kind, found.changed[:24]) == ("string", "text, as its numbers hav")


@pytest.mark.parametrize(
    "words", [{"label": "paid"}, {"label": "paid", "kind": "regression"}], ids=["a label", "a label of a kind"]
)
def test_they_are_told_where_the_label_should_be_a_number(market: list[Row], as_csv: Writer, words: Any) -> None:
    rows = [row | {"paid": f"{1000 + at}.5 EUR"} for at, row in enumerate(market)]
    with pytest.raises(ConfigurationError, match=r"paid: text, as its numbers have a mark beside them: '1000.5 EUR'"):
        proposed(as_csv(rows), **words)


def test_they_are_told_where_nothing_is_left_to_predict_from(market: list[Row], as_csv: Writer) -> None:
    rows = [{"id": at, "at": row["Half hour"][:10], "paid": f"${at}.5", "Trend": row["Trend"]} for at, row in
            enumerate(market[:600])]  # fmt: skip
    with pytest.raises(ConfigurationError, match=r"a column to predict from; paid: text, as its numbers have a mark"):
        proposed(as_csv(rows))
