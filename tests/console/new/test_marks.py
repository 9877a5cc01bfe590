"""Numbers with a unit, a currency or a clock are recognised, read and declared; codes and other texts stay text."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from millrace.console.new.marks import SECONDS, SIZES, THOUSAND_TIMES
from millrace.console.new.writing import write
from millrace.contract.load import load_contract
from millrace.contract.number_format import MOST_CHARACTERS, NumberFormat
from millrace.contract.row import as_declared, check_row
from tests.console.new.conftest import Row, Writer, observed, proposed


@pytest.mark.parametrize(
    ("cells", "form", "first", "unit"),
    [
        (["12 %", "7%", "8"], NumberFormat(units=(("%", 1),)), 12, "%"),
        (["$1,299.00", "$7"], NumberFormat(units=(("$", 1),), thousands=","), 1299, "$"),
        (["1.299 €", "12 €"], NumberFormat(units=(("€", 1),), decimal=",", thousands="."), 1299, "€"),
        (["1.250 kg", "3.500 kg"], NumberFormat(units=(("kg", 1),)), 1.25, "kg"),
        (["3,5 %", "12 %"], NumberFormat(units=(("%", 1),), decimal=","), 3.5, "%"),
        (
            ["1 234,50 €", "7 EUR", "8 €"],
            NumberFormat(units=(("€", 1), ("EUR", 1)), decimal=",", thousands=" "),
            1234.5,
            "€",
        ),
        (["5.2 kg", "300 g", "1 kg"], NumberFormat(units=(("kg", 1), ("g", 0.001))), 5.2, "kg"),
        (["293 K", "300 K"], NumberFormat(units=(("K", 1),)), 293, "K"),
        (["21.5°C", "-3 °C"], NumberFormat(units=(("°C", 1),)), 21.5, "°C"),
        (["$1.2M", "$850k", "$7"], NumberFormat(units=(("$", 1), ("M", 1e6), ("k", 1e3))), 1_200_000, "$"),
        (["1.2k", "3.4M", "12"], NumberFormat(units=(("k", 1e3), ("M", 1e6))), 1200, ""),
        (["1h 20m", "45m"], NumberFormat(units=(("h", 3600), ("m", 60))), 4800, "s"),
        (["00:45:10", "1:00:00"], NumberFormat(clock="h:mm:ss"), 2710, "s"),
        (["14:30", "9:15"], NumberFormat(clock="h:mm"), 52200, "s"),
        (["75:30", "9:15"], NumberFormat(clock="m:ss"), 4530, "s"),
    ],
)
def test_numbers_with_something_beside_them_are_numbers(
    cells: list[str], form: NumberFormat, first: float, unit: str
) -> None:
    found = observed([*cells, "NA"] * 5, typed_text=True)
    assert (found.kind, found.number_format, found.cells[0].as_py(), found.unit) == ("float64", form, first, unit)
    assert found.misfits == 0


@pytest.mark.parametrize(
    "cells",
    [
        ["12a", "12b"], ["9 AM", "3 pm"], ["1234 AB", "99 EF"], ["USD 12", "EUR 13"], ["5 kg", "3 km"],
        ["12 Main Street", "13 Main Street"], ["12 kg", "old"], ["45 m", "3 h ago"], ["1:2:3", "4:5:6"],
        ["12B", "7", "9"], ["12B", "9B"],
    ],
)  # fmt: skip
def test_other_texts_stay_text(cells: list[str]) -> None:
    found = observed(cells * 5, typed_text=True)
    assert (found.kind, found.number_format, found.unit) == ("string", None, "")


def test_the_proposal_reads_its_own_file_and_requests_as_the_file_has_them(as_csv: Writer, tmp_path: Path) -> None:
    rows: list[Row] = [
        {
            "discount": f"{at % 40} %",
            "fee": f"${1000 + at:,}.50",
            "took": f"{at % 5}h {at % 60}m",
            "price": f"{at * 3},50 €",
        }
        for at in range(300)
    ]
    path = as_csv(rows)
    proposal = proposed(path, label="price")
    assert (proposal.accepted.num_rows, proposal.refused) == (300, ())
    write(proposal, tmp_path / "w", tmp_path / "d", pieces=1, force=False)
    contract = load_contract(tmp_path / "w" / "market")
    assert contract.label.unit == "€"
    scoring = contract.table("scoring")
    asked = as_declared({name: rows[7][name] for name in ("discount", "fee", "took")}, scoring)
    assert asked == {"discount": 7, "fee": 1007.5, "took": 7620}
    assert "range" not in {one.reason for one in check_row(asked, scoring)}
    too_much = check_row(asked | {"discount": 101}, scoring)
    assert [one.column for one in too_much if one.reason == "range"] == ["discount"]


@pytest.mark.parametrize("units", [*SIZES, SECONDS, {"$": 1, **THOUSAND_TIMES}], ids=lambda units: "-".join(units))
@pytest.mark.parametrize(("decimal", "thousands"), [(".", ""), (".", ","), (",", "."), (",", " ")])
def test_a_long_text_that_is_no_number_is_refused_without_many_tries(
    units: dict[str, float], decimal: str, thousands: str
) -> None:
    """With a try for each way to part the digits, none of these texts would come to an end."""
    form = NumberFormat(units=tuple(units.items()), decimal=decimal, thousands=thousands)
    for start in ("1", f"1{decimal}1", "1 ", *(text for mark in units for text in (f"{mark}1111{mark}", f"1{mark}"))):
        text = f"{start * ((MOST_CHARACTERS - 1) // len(start))}?"
        with pytest.raises(ValueError, match=re.escape(text)):
            form.plain(text)
