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
from tests.console.new.conftest import Row, Writer, proposed


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
    proposal = proposed(as_csv(rows), label="price")
    assert (proposal.accepted.num_rows, proposal.refused) == (300, ())
    write(proposal, tmp_path / "w", tmp_path / "d", force=False)
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
