"""Words for nothing beside numbers and times: counted, said and in the contract, and left alone beside other words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pytest

from console.new.columns import Observed, observe
from console.new.read import read_source
from console.new.writing import write
from millrace.contract.load import load_contract
from tests.console.new.conftest import Row, proposed

Writer = Callable[..., Path]


def column(cells: Sequence[str]) -> Observed:
    found = observe("cell", pa.chunked_array([pa.array(cells)]), typed_text=True)
    assert isinstance(found, Observed)
    return found


@pytest.mark.parametrize("word", ["unknown", "Unknown", "N/a", "NONE", "not available", "--", "unbekannt"])
@pytest.mark.parametrize(
    ("known", "kind"), [(["1", "2"], "int64"), (["1.5", "-2"], "float64"), (["2024-05-01", "2024-05-02"], "date")]
)
def test_a_word_for_nothing_keeps_no_column_from_being_one_of_numbers(word: str, known: list[str], kind: str) -> None:
    found = column(known * 5 + [word] * 3)
    assert (found.kind, found.cells.null_count, found.misfits) == (kind, 3, 0)
    assert found.missing_words == found.own_words == (word,)
    assert found.changed == f"3 cells {word!r} taken as missing (23.1%)"


def test_so_few_that_their_rows_could_be_quarantined_are_missing_too() -> None:
    found = column([str(at) for at in range(996)] + ["unknown", "unknown", "NA", "4 kg"])
    assert (found.kind, found.cells.null_count, found.misfits) == ("int64", 4, 1)
    assert found.missing_words == ("NA", "unknown")
    assert found.own_words == ("unknown",)


@pytest.mark.parametrize("known", [["fair", "foul"], ["true", "false"], ["007", "008"], ["12a", "b7"]])
def test_beside_words_and_codes_it_is_a_word(known: list[str]) -> None:
    found = column(known * 50 + ["unknown"] * 30)
    assert (found.kind, found.cells.null_count, found.missing_words) == ("string", 0, ())


def test_what_a_word_beside_many_numbers_may_mean_is_said() -> None:
    found = column(["1", "2", "3"] * 20 + ["pending"] * 9)
    assert (found.kind, found.missing_words) == ("string", ())
    assert found.changed.startswith("text, as 9 of 69 cells are no numbers: 'pending'; if they mean missing, contract.")
    assert "missing" not in column(["1", "2", "3"] * 20 + ["12a"] * 9).changed


def test_a_column_of_nothing_but_such_words_stays_text() -> None:
    assert column(["unknown", "missing"] * 5).kind == "string"


def test_it_means_missing_in_the_column_of_numbers_alone(market: list[Row], as_csv: Writer, tmp_path: Path) -> None:
    words = ("fair", "foul", "unknown")
    path = as_csv(
        [row | {"price": row["price"] or "unknown", "weather": words[at % 3]} for at, row in enumerate(market)]
    )
    found = proposed(path)
    price, weather = found.contract.column("price"), found.contract.column("weather")
    assert (price.kind, price.required, price.missing_words) == ("float64", False, ("unknown",))
    assert (weather.allowed, weather.required, weather.missing_words) == (words, True, ())
    assert "price: 39 cells 'unknown' taken as missing (2.0%)" in found.notes
    assert (found.accepted["price"].null_count, found.refused) == (39, ())
    here = write(found, path, tmp_path / "workloads", tmp_path / "drops", pieces=0, force=False)
    assert load_contract(here.folder).rows == found.contract


def test_words_do_not_hide_the_decimal_comma(market: list[Row], as_csv: Writer) -> None:
    rows = [{"at": row["Half hour"], "price": row["price"].replace(".", ",") or "unknown"} for row in market]
    assert read_source(as_csv(rows, separator=";")).csv.decimal == ","
