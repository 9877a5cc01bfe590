"""Words for missing values, persons and marks are known in names and in cells."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pytest

from millrace.console.new.marks import looks_marked
from millrace.console.new.read import read_source
from millrace.console.new.words import once, share_of, why_protected
from millrace.console.new.writing import write
from millrace.contract.load import load_contract
from millrace.contract.row import check_row
from millrace.contract.validate import validate
from millrace.files.sniff import read_drop
from tests.console.new.conftest import Row, Writer, observed, proposed


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


@pytest.mark.parametrize("word", ["unknown", "Unknown", "N/a", "NONE", "not available", "--", "unbekannt"])
@pytest.mark.parametrize(
    ("known", "kind"), [(["1", "2"], "int64"), (["1.5", "-2"], "float64"), (["2024-05-01", "2024-05-02"], "date")]
)
def test_a_word_for_nothing_keeps_no_column_from_being_one_of_numbers(word: str, known: list[str], kind: str) -> None:
    found = observed(known * 5 + [word] * 3, typed_text=True)
    assert (found.kind, found.cells.null_count, found.misfits) == (kind, 3, 0)
    assert found.missing_words == found.own_words == (word,)
    assert found.changed == f"3 cells {word!r} taken as missing (23.1%)"


def test_a_share_that_would_be_shown_as_nothing_is_left_out() -> None:
    found = observed([str(at) for at in range(4000)] + ["unknown"], typed_text=True)
    assert found.changed == "1 cell 'unknown' taken as missing"
    assert (share_of(2, 4000), share_of(1, 4000)) == ("2 (0.1%)", "1")


def test_so_few_that_their_rows_could_be_quarantined_are_missing_too() -> None:
    found = observed([str(at) for at in range(996)] + ["unknown", "unknown", "NA", "4 kg"], typed_text=True)
    assert (found.kind, found.cells.null_count, found.misfits) == ("int64", 4, 1)
    assert found.missing_words == ("NA", "unknown")
    assert found.own_words == ("unknown",)


@pytest.mark.parametrize("known", [["fair", "foul"], ["true", "false"], ["007", "008"], ["12a", "b7"]])
def test_beside_words_and_codes_it_is_a_word(known: list[str]) -> None:
    found = observed(known * 50 + ["unknown"] * 30, typed_text=True)
    assert (found.kind, found.cells.null_count, found.missing_words) == ("string", 0, ())


def test_what_a_word_beside_many_numbers_may_mean_is_said() -> None:
    found = observed(["1", "2", "3"] * 20 + ["pending"] * 9, typed_text=True)
    assert (found.kind, found.missing_words) == ("string", ())
    assert found.changed.startswith("text, as 9 of 69 cells are no numbers: 'pending'; if they mean missing, contract.")
    assert "missing" not in observed(["1", "2", "3"] * 20 + ["12a"] * 9, typed_text=True).changed


def test_a_column_of_nothing_but_such_words_stays_text() -> None:
    assert observed(["unknown", "missing"] * 5, typed_text=True).kind == "string"


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
    here = write(found, tmp_path / "workloads", tmp_path / "drops", pieces=0, force=False)
    assert load_contract(here.folder).rows == found.contract


def test_words_do_not_hide_the_decimal_comma(market: list[Row], as_csv: Writer) -> None:
    rows = [{"at": row["Half hour"], "price": row["price"].replace(".", ",") or "unknown"} for row in market]
    assert read_source(as_csv(rows, separator=";")).csv.decimal == ","


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("sex", ["x", "y"]),
        ("customerAge", [31, 42]),
        ("marital_status", ["a", "b"]),
        ("native-country", ["a", "b"]),
        ("E-mail", ["a", "b"]),
        ("name", ["Ada", "Bo"]),
        ("Last Name", ["Ada", "Bo"]),
        ("Driver name", ["Ada", "Bo"]),
        ("teacherName", ["Ada", "Bo"]),
        ("Alter (Jahre)", [31, 42]),
        ("Geschlecht", ["a", "b"]),
        ("Straße", ["a", "b"]),
        ("Nombre", ["Ada", "Bo"]),
        ("Âge du client", [31, 42]),
        ("PRÉNOM", ["Ada", "Bo"]),
        ("fecha_de_nacimiento", ["a", "b"]),
        ("Dirección", ["a", "b"]),
        ("contact", ["a@x.org", "b@y.de"]),
        ("reach", ["+49 731 123456", "0731/654321"]),
        ("reach", ["+49 (731) 123-45-67", "+1 (202) 555-01-23"]),
        ("dni", [48_213_377, 50_112_904]),
        ("phone", [4_973_112_345.0, 4_973_154_321.0]),
        ("who", ["Male", "Female"]),
        ("kin", ["Husband", "Wife", "Other"]),
    ],
)
def test_a_column_of_a_person_is_known_by_its_name_or_its_cells(name: str, cells: list[object]) -> None:
    assert why_protected(name, observed(cells, name=name).cells)


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("usage", [1, 2]),
        ("DNI (W/m^2)", [0, 913]),
        ("ip calls", [3.5, 7.0]),
        ("account", ["10000000000000000007", "10000000000000000012"]),
        ("product_name", ["Ada", "Bo"]),
        ("driver version", ["a", "b"]),
        ("stage", ["a", "b"]),
        ("page", [1, 2]),
        ("day", ["2024-01-01x", "2024-02-01x"]),
        ("half", ["a", "f"]),
        ("city", ["Ulm", "Bonn"]),
        ("Größe", [1, 2]),
        ("alternative", [1, 2]),
        ("Verkehr", [1, 2]),
        ("nombre", [1, 2]),
        ("Do Not E_mail", ["Yes", "No"]),
        ("has_phone", [0, 1]),
    ],
)
def test_other_columns_are_not_of_a_person(name: str, cells: list[object]) -> None:
    assert why_protected(name, observed(cells, name=name).cells) == ""


def test_what_no_model_reads_may_be_missing_and_hold_anything(
    market: list[Row], as_csv: Writer, tmp_path: Path
) -> None:
    rows = [row | {"gender": "fm"[at % 2], "refund": 9.5 * (row["Trend"] == "up")} for at, row in enumerate(market)]
    rows[5]["refund"] = 1e9
    path = as_csv(rows)
    found = proposed(path)
    assert found.may_be_missing == ("gender", "refund")
    assert found.refused == (), "the far value of a column that gives the label away"
    assert not [note for note in found.notes if "refund" in note]
    here = write(found, tmp_path / "workloads", tmp_path / "drops", pieces=1, force=False)
    table = load_contract(here.folder).rows
    for name in found.may_be_missing:
        assert (table.column(name).required, table.column(name).rules) == (False, ())
    assert table.column("demand").required
    less = as_csv([{name: row[name] for name in row if name not in found.may_be_missing} for row in rows])
    (part,) = read_drop(less, table)
    assert validate(part.rows, table).accepted.num_rows == len(rows), "a file without the columns"
    cells = part.rows.slice(0, 1).to_pylist()[0]
    request = {name: cells[name].isoformat() if name == "Half hour" else cells[name] for name in ("Half hour", "price")}
    assert {one.column for one in check_row(request, table)} == {"Day.of week", "weekend", "demand", "Trend"}


@pytest.mark.parametrize(
    ("cells", "kind", "missing"),
    [
        (["None"] * 999 + ["Easter", "Christmas"], "string", ()),
        (["None"] * 40 + ["Easter", "Christmas"] * 30, "string", ("None",)),
        (["None"] * 999 + ["1.5", "2.5"], "float64", ("None",)),
    ],
    ids=["most days", "few days", "numbers"],
)
def test_none_in_most_cells_is_a_word_beside_words(cells: list[str], kind: str, missing: tuple[str, ...]) -> None:
    found = observed(cells, typed_text=True)
    assert (found.kind, found.missing_words) == (kind, missing)
    assert found.cells.null_count == (cells.count("None") if missing else 0)


def test_a_sentence_is_said_once_with_all_columns() -> None:
    assert once([("a", "x"), ("b", "y"), ("c", "x")]) == [("a, c", "x"), ("b", "y")]
