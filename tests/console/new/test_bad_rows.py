"""Rows that ingestion would quarantine do not keep a file from becoming a workload: they are counted and named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from console.new.read import read_source
from millrace.errors import ConfigurationError
from tests.console.new.conftest import Row, proposed

Writer = Callable[..., Path]


def test_a_line_of_totals_is_quarantined(market: list[Row], as_csv: Writer) -> None:
    total = dict.fromkeys(market[0], "") | {"Day.of week": "Total", "demand": "1"}
    found = proposed(as_csv([*market, total]))
    assert found.guesses["event time"].value.name == "Half hour"
    assert "Half hour: 1 row with none will be quarantined" in found.notes
    assert [row.line for row in found.refused] == [len(market) + 2]
    assert found.contract.column("Half hour").required


def test_rows_that_often_have_no_time_are_refused(market: list[Row], as_csv: Writer) -> None:
    rows = [row | {"Half hour": "" if at % 20 == 0 else row["Half hour"]} for at, row in enumerate(market)]
    with pytest.raises(ConfigurationError, match="without a time in 96 rows"):
        proposed(as_csv(rows), event_time="Half hour")


@pytest.mark.parametrize("broken", [['{"a": '], ["[1]", "x"]])
def test_a_line_that_is_no_object_is_quarantined(broken: list[str], market: list[Row], tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    lines = [json.dumps(row | {"demand": float(row["demand"])}) for row in market]
    path.write_text("\n".join([*lines[:50], *broken, *lines[50:]]))
    found = proposed(path)
    numbers = list(range(51, 51 + len(broken)))
    assert [row.line for row in found.refused] == numbers
    shown = ", ".join(map(str, numbers))
    [said] = [note for note in found.notes if note.startswith("lines that are no JSON objects")]
    assert f" and will be quarantined, {len(broken)}: {shown} (" in said


def test_a_file_of_many_broken_lines_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(['{"a": 1}', "{"] * 10))
    with pytest.raises(ConfigurationError, match="line 2: expected a JSON object"):
        read_source(path)


@pytest.mark.parametrize("bad", ["12,5", "unknown at the time"])
def test_a_cell_that_is_no_number_does_not_make_the_column_text(bad: str, market: list[Row], as_csv: Writer) -> None:
    rows = [row | {"demand": bad if at == 700 else row["demand"]} for at, row in enumerate(market)]
    found = proposed(as_csv(rows))
    assert found.contract.column("demand").kind == "int64"
    assert f"demand: 1 row with no number will be quarantined: {bad!r}" in found.notes
    assert [row.line for row in found.refused] == [702]


def test_a_german_word_for_nothing_is_missing(market: list[Row], as_csv: Writer) -> None:
    rows = [row | {"demand": "k.A." if at % 10 == 0 else row["demand"]} for at, row in enumerate(market)]
    found = proposed(as_csv(rows))
    assert (found.contract.column("demand").kind, found.contract.column("demand").required) == ("int64", False)
    assert found.refused == ()


def test_numbers_beside_codes_stay_text_and_the_cells_are_named(market: list[Row], as_csv: Writer) -> None:
    rooms = [row | {"room": "12a" if at == 9 else str(100 + at % 40)} for at, row in enumerate(market)]
    found = proposed(as_csv(rooms))
    assert found.contract.column("room").kind == "string"
    assert "room: text, as 1 of 1,920 cells are no numbers: '12a'" in found.notes


def test_a_key_of_which_a_few_repeat_is_proposed(market: list[Row], as_csv: Writer) -> None:
    rows = [
        row | {"Case-No.": f"C{at:05}", "Half hour": row["Half hour"][:14] + "00:00"} for at, row in enumerate(market)
    ]
    found = proposed(as_csv([*rows, rows[7]]))
    assert found.guesses["key"].value == ("Case-No.",)
    assert found.guesses["key"].reason == "each Case-No. comes once, but for 1 row that will be quarantined"
    assert len(found.refused) == 1


def test_a_pair_of_which_a_few_repeat_is_proposed(market: list[Row], as_csv: Writer) -> None:
    rows = [row | {"site": site} for row in market[:960] for site in ("north", "south")]
    found = proposed(as_csv([*rows, rows[7], rows[9]]))
    assert found.guesses["key"].value == ("site", "Half hour")
    reason = found.guesses["key"].reason
    assert reason.startswith("each site comes once at a time, but for 2 rows that will be quarantined; a guess")


def test_whole_numbers_that_are_too_large_are_text(market: list[Row], as_csv: Writer) -> None:
    """Ids of 20 digits; a few of them beside others are quarantined and named."""
    large = 10**19
    found = proposed(as_csv([row | {"account": large + at % 30} for at, row in enumerate(market)]))
    assert found.contract.column("account").kind == "string"
    said = "account: text, as its whole numbers are too large to be exact (beyond 9,223,372,036,854,775,807)"
    assert said in found.notes
    found = proposed(as_csv([row | {"account": large if at == 7 else at % 30} for at, row in enumerate(market)]))
    assert found.contract.column("account").kind == "int64"
    assert f"account: 1 row with no number will be quarantined: '{large}'" in found.notes


def test_a_text_that_is_no_time_is_named(market: list[Row], as_csv: Writer) -> None:
    total = market[-1] | {"Half hour": "Total"}
    found = proposed(as_csv([*market, total]))
    assert "Half hour: 1 row with no time will be quarantined: 'Total'" in found.notes
