"""A table shows each value as it is, whatever characters a file brought."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click import unstyle

from millrace.console.cli.printing import WRAPPED, check_ending, export, show_rows
from millrace.errors import EnvironmentNotFoundError

MARKUP = "[/bar] [min] :smile:"
ID = "3e771b36-2aff-415a-b2d5-4924624cb806-439"
PATH = "electricity/runs/42d482cf-6ac6-4492-95ab-63baf91bd260/config/contract.yaml"
AT = datetime(2024, 9, 24, 21, tzinfo=UTC)
GATE = "share of wrong answers 0.2372 on 624 rows; at most 0.4003 allowed"


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


def test_brackets_are_shown_in_a_header_a_cell_and_the_sentence_of_no_rows(capsys: pytest.CaptureFixture[str]) -> None:
    show_rows([{f"pressure {MARKUP}": MARKUP}], as_json=False, nothing="")
    show_rows([], as_json=False, nothing=f"No row of {MARKUP}.")
    header, cell, sentence = capsys.readouterr().out.splitlines()
    assert (header.strip(), cell.strip()) == (f"pressure {MARKUP}", MARKUP)
    assert sentence == f"No row of {MARKUP}."


def test_a_cell_stands_below_its_own_column_where_rows_differ(capsys: pytest.CaptureFixture[str]) -> None:
    show_rows([{"run": "a", "status": "b"}, {"status": "c", "user": "d"}], as_json=False, nothing="")
    header, _, second = capsys.readouterr().out.splitlines()
    assert [header.index(name) for name in ("status", "user")] == [second.index(cell) for cell in ("c", "d")]


def test_a_control_character_does_not_reach_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    show_rows([{"city": "\x1b[2JBern", "gates": "one\ntwo"}], as_json=False, nothing="")
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert "\\x1b[2JBern" in printed
    assert len(printed.splitlines()) == 3, "a cell of two lines stays one"


def test_bytes_are_counted_for_people_and_base64_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    show_rows([{"image": b"\x89PNG"}], as_json=False, nothing="")
    assert capsys.readouterr().out.split() == ["image", "4", "bytes"]
    show_rows([{"image": b"\x89PNG", "all": [b"\xff"]}], as_json=True, nothing="")
    assert json.loads(capsys.readouterr().out) == [{"image": "iVBORw==", "all": ["/w=="]}]


@pytest.fixture
def in_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., list[str]]:
    """The lines of a table in a terminal of so many columns."""

    def lines(width: int, *rows: dict[str, object]) -> list[str]:
        monkeypatch.setenv("TTY_COMPATIBLE", "1")
        monkeypatch.setenv("COLUMNS", str(width))
        show_rows(rows, as_json=False, nothing="")
        return [line.rstrip() for line in unstyle(capsys.readouterr().out).splitlines()]

    return lines


def test_rows_are_records_where_a_table_would_break_their_words(in_terminal: Callable[..., list[str]]) -> None:
    rows = [{"": mark, "id": ID, "event_time": AT, "gate": GATE, "phase": None, "in": PATH} for mark in "✓✗"]
    first = [
        "✓",
        f"id          {ID}",
        "event time  2024-09-24 21:00:00",
        "gate        share of wrong answers 0.2372 on 624 rows; at most",
        "            0.4003 allowed",
        "phase",
        f"in          {PATH}",
    ]
    assert in_terminal(66, *rows) == [*first, "", "✗", *first[1:]]
    assert len(in_terminal(220, *rows)) == 3, "wide enough: a table"


def test_a_table_in_a_terminal_wraps_sentences_at_spaces(in_terminal: Callable[..., list[str]]) -> None:
    row = {"id": ID, "event_time": AT, "gate": GATE}
    least = len(f"{ID}  2024-09-24 21:00:00  ") + WRAPPED
    table = in_terminal(least, row)
    assert table[1].startswith(f"{ID}  2024-09-24 21:00:00  share of wrong answers")
    assert " ".join(line[least - WRAPPED :] for line in table[1:]) == GATE
    assert in_terminal(least - 1, row)[0] == f"id          {ID}"


def test_a_pipe_breaks_no_word(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    sentences = {f"column {number}": "unbreakably-long-identifier-of-a-run " * 3 for number in range(9)}
    show_rows([sentences], as_json=False, nothing="")
    assert capsys.readouterr().out.count("unbreakably-long-identifier-of-a-run") == 27


SCHEMA = pa.schema([("line", pa.int64()), ("reason", pa.string()), ("at", pa.timestamp("us"))])
SIX = datetime(1997, 1, 1, 6, tzinfo=UTC).replace(tzinfo=None)
ROWS = [{"line": 2, "reason": 'range, of "price"\nü', "at": SIX}, {"line": None, "reason": None, "at": SIX}]


def test_each_format_holds_the_same(tmp_path: Path) -> None:
    for ending in (".parquet", ".csv", ".jsonl"):
        assert export(ROWS, tmp_path / f"rows{ending}", SCHEMA) == 2
    assert pq.read_table(tmp_path / "rows.parquet").to_pylist() == ROWS
    lines = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert lines[0] == {"line": 2, "reason": ROWS[0]["reason"], "at": "1997-01-01T06:00:00"}
    with (tmp_path / "rows.csv").open(newline="") as file:
        found = list(csv.DictReader(file))
    assert (found[0]["reason"], found[1]["line"]) == (ROWS[0]["reason"], "")
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize(
    ("cell", "written"),
    [
        ("=1+1", "'=1+1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("+a", "'+a"),
        ("-17.5", "-17.5"),
        ("a=1", "a=1"),
        ("\n=1+1", "'\n=1+1"),
        (" =1+1", "' =1+1"),
        ("＝1+1", "'＝1+1"),
    ],
)
def test_no_spreadsheet_runs_a_cell_of_a_csv_file(tmp_path: Path, cell: str, written: str) -> None:
    """Numbers keep their signs; the other formats keep every text as it came."""
    row = [{"line": 1, "reason": cell, "at": None}]
    for ending in (".csv", ".jsonl"):
        export(row, tmp_path / f"rows{ending}", SCHEMA)
    with (tmp_path / "rows.csv").open(newline="") as file:
        assert [found["reason"] for found in csv.DictReader(file)] == [written]
    assert json.loads((tmp_path / "rows.jsonl").read_text())["reason"] == cell


def test_no_spreadsheet_runs_a_name_of_a_csv_file(tmp_path: Path) -> None:
    schema = pa.schema([("=cmd|'/C calc'!A0", pa.int64()), ("plain", pa.int64())])
    export([dict.fromkeys(schema.names, 1)], tmp_path / "rows.csv", schema)
    assert (tmp_path / "rows.csv").read_text().splitlines() == ["'=cmd|'/C calc'!A0,plain", "1,1"]


def test_bytes_are_base64_in_text(tmp_path: Path) -> None:
    """Of images, alone and in a list; Parquet keeps them as they are."""
    schema = pa.schema([("image", pa.binary()), ("all", pa.list_(pa.binary())), ("none", pa.binary())])
    rows = [{"image": b"\x89PNG", "all": [b"\x00", b"\xff"], "none": None}]
    for ending in (".parquet", ".csv", ".jsonl"):
        export(rows, tmp_path / f"rows{ending}", schema)
    with (tmp_path / "rows.csv").open(newline="") as file:
        assert list(csv.DictReader(file)) == [{"image": "iVBORw==", "all": '["AA==", "/w=="]', "none": ""}]
    line = json.loads((tmp_path / "rows.jsonl").read_text())
    assert line == {"image": "iVBORw==", "all": ["AA==", "/w=="], "none": None}
    assert pq.read_table(tmp_path / "rows.parquet").to_pylist() == rows


@pytest.mark.parametrize("ending", [".parquet", ".csv", ".jsonl"])
def test_an_error_leaves_what_was_there(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"rows{ending}"
    path.write_text("before")

    def broken() -> Iterator[dict[str, Any]]:
        yield ROWS[0]
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        export(broken(), path, SCHEMA)
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("name", "told"), [("rows.xlsx", "got '.xlsx'"), ("no/rows.csv", "expected a folder")])
def test_a_path_that_cannot_be_is_told_first(tmp_path: Path, name: str, told: str) -> None:
    with pytest.raises(EnvironmentNotFoundError, match=told):
        check_ending(tmp_path / name)
