"""A table shows each value as it is, whatever characters a file brought."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from click import unstyle

from millrace.console.cli.models import _quality
from millrace.console.cli.predict import _show_answers
from millrace.console.cli.printing import WRAPPED, plain, show_rows
from millrace.console.columns import table
from millrace.console.queries.drops import Row
from millrace.console.queries.report import WorkloadReport

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


def test_refused_rows_and_answers_show_brackets_of_the_file(capsys: pytest.CaptureFixture[str]) -> None:
    _show_answers(iter([{"line": 1, "reason": "allowed", "came": MARKUP}]))
    row = Row(
        feed="training",
        drop="a.csv",
        source="",
        line=2,
        key="1/large",
        reason="allowed",
        column="[b]",
        expected="[i]",
        got=MARKUP,
        also="",
        detail="",
        raw="",
        run="r",
        quarantined_at=datetime(2024, 1, 1, tzinfo=UTC),
    )
    show_rows(table([row]), as_json=False, nothing="")
    printed = capsys.readouterr().out
    assert printed.count(MARKUP) == 2
    assert "[b]" in printed
    assert "1/large" in printed, "the name of a packed image's file"
    assert "[i]" in printed


def test_a_version_shows_what_its_model_is_worth_beside_the_error(report: WorkloadReport) -> None:
    assert report.live is not None
    assert report.live.evaluation is not None
    metrics = {"error": 243.4, "r2": 0.0124, "auc": None}
    lines = _quality(report.live.evaluation.model_copy(update={"metrics": metrics})).splitlines()
    assert lines[1] == "R² 0.0124"
    assert lines[2].startswith("naive rule ")
    rare = report.live.evaluation.model_copy(update={"metrics": {"error": 0.04, "recall": 0.019}})
    assert _quality(rare).splitlines()[1] == "recall 0.019", "right as often as the rule, and blind for one class"
    part = rare.naive.model_copy(update={"rows": rare.rows.test - 16})
    assert f"({rare.rows.test - 16:,} rows)" in _quality(rare.model_copy(update={"naive": part})).splitlines()[2]


def test_a_version_that_beats_its_rule_by_log_loss_alone_says_so(report: WorkloadReport) -> None:
    assert report.live is not None
    assert report.live.evaluation is not None
    found = report.live.evaluation
    naive = found.naive.model_copy(update={"rule": "base_rate", "metrics": {"error": 0.1, "log_loss": 0.4}})
    worse = found.model_copy(update={"metrics": {"error": 0.12, "log_loss": 0.31}, "naive": naive})
    first = worse.model_copy(update={"champion": None})
    assert "log loss 0.3100, the rule's 0.4000: compared by it" in _quality(first).splitlines()
    assert "log loss 0.3100, the rule's 0.4000" in _quality(worse).splitlines(), "it is held against the champion"
    better = worse.model_copy(update={"metrics": {"error": 0.08, "log_loss": 0.31}})
    assert "log loss" not in _quality(better)


@pytest.mark.parametrize(
    ("cells", "shown"),
    [
        ([], ""),
        ([1.23456, None, "damp"], "1.235, , damp"),
        ([0.5] * 6, "0.5, 0.5, 0.5, 0.5, 0.5, 0.5"),
        ([float(one) for one in range(24)], "0, 1, …, 23"),
    ],
)
def test_a_long_list_is_shown_by_its_ends(cells: list[object], shown: str) -> None:
    assert plain(cells) == shown


def test_columns_of_a_table_have_their_own_names(capsys: pytest.CaptureFixture[str]) -> None:
    show_rows([{"status_2": 1}], as_json=False, nothing="", has_words=False)
    show_rows([{"status_2": 1}], as_json=False, nothing="")
    assert capsys.readouterr().out.split() == ["status_2", "1", "status", "2", "1"]


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


def test_names_of_columns_are_wrapped_before_rows_become_records(in_terminal: Callable[..., list[str]]) -> None:
    row = {"input-drift_/_bound": "224.00", "error_/_bound": "0.38"}
    assert in_terminal(34, row)[0] == "input-drift / bound  error / bound"
    assert [line.split() for line in in_terminal(20, row)] == [
        ["input-drift", "error", "/"],
        ["/", "bound", "bound"],
        ["224.00", "0.38"],
    ]


def test_a_pipe_gets_a_table_whatever_its_rows_hold(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("COLUMNS")
    show_rows([{"id": ID, "in": PATH, "gate": GATE}] * 2, as_json=False, nothing="")
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_a_pipe_breaks_no_word(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    sentences = {f"column {number}": "unbreakably-long-identifier-of-a-run " * 3 for number in range(9)}
    show_rows([sentences], as_json=False, nothing="")
    assert capsys.readouterr().out.count("unbreakably-long-identifier-of-a-run") == 27
