"""What the commands on models and records say of words that they cannot use; a whole cloud tests what they do."""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import replace

import pytest
from typer import Exit
from typer.testing import CliRunner

from millrace.console.actions.predict import RowAnswer
from millrace.console.cli.app import app
from millrace.console.cli.monitoring import NOTHING, _row, _show_windows
from millrace.console.cli.predict import _Counted, _show_answers, _summarize
from millrace.console.commands import command
from millrace.console.demo.electricity import STORY
from millrace.console.queries.report import WorkloadReport
from millrace.console.words import brief


@pytest.fixture(autouse=True)
def _nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment that answers nobody: what is told here is told before anybody is asked."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://localhost:1")
    monkeypatch.setenv("COLUMNS", "200")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("predict", "none.csv"), "none.csv: FILE: expected a file or a folder, got 'none of that name'"),
        (("predict", "none.csv", "--output", "answers.xlsx"), "expected a file that ends with one of .parquet"),
        (("quarantine", "--export", "no/rows.csv"), "no/rows.csv: expected a folder no, there is none"),
        (("decisions", "--from", "May"), "--from: expected a day as 1997-05-01, got 'May'"),
        (("decisions", "--to", "1997-02-30"), "--to: expected a day as 1997-05-01, got '1997-02-30'"),
        (("quarantine", "--reason", "bogus"), "--reason: expected one of missing, empty, foreign"),
        (("rollback", "--reason", " "), "--reason: expected a sentence"),
        (("versions", "--stage", "test"), "--stage: expected one of"),
        (("cost", "--workload", "gas"), "--workload: expected one of"),
    ],
)
def test_wrong_words_are_told_before_anything_is_asked(words: tuple[str, ...], told: str) -> None:
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 1
    assert told in str(result.exception)


def test_a_long_file_is_shown_in_part(capsys: pytest.CaptureFixture[str]) -> None:
    answers = ({"line": number, "value": 1, "reason": None} for number in range(1, 61))
    _show_answers(answers)
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 51
    assert "reason" not in out
    assert "and 10 more" in err


@pytest.mark.parametrize(
    ("fallbacks", "refused", "told", "is_refused"),
    [
        ([False, False], 0, [], False),
        ([True, False], 0, ["2 rows: 1 answered by the model, 1 only have the declared fallback, 0 refused"], False),
        ([True, True], 0, ["2 rows: 0 answered by", "A fallback: no model is live yet"], True),
        ([False], 2, ["3 rows: 1 answered by the model, 0 only have the declared fallback, 2 refused"], False),
        ([], 2, ["2 rows: 0 answered by the model, 0 only have the declared fallback, 2 refused"], True),
        ([True], 1, ["2 rows: 0 answered by the model"], True),
        ([], 0, [], False),
    ],
)
def test_rows_that_no_model_answered_are_counted(
    fallbacks: list[bool], refused: int, told: list[str], is_refused: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [RowAnswer(line=line, fallback=fallback) for line, fallback in enumerate(fallbacks)]
    answers = _Counted([*given, *(RowAnswer(line=9, reason="range") for _ in range(refused))])
    list(answers)
    with pytest.raises(Exit) if is_refused else nullcontext():
        _summarize(STORY.names, answers, why=lambda: "no model is live yet")
    printed = capsys.readouterr().err
    assert all(words in printed for words in told)
    assert bool(printed) == bool(told)


def test_links_are_told_without_what_all_of_them_share() -> None:
    assert brief("s3://bucket/w/training/a.csv?versionId=57732ed3-c56d-4428") == "w/training/a.csv?versionId=57732ed3…"
    assert brief("arn:aws:sagemaker:eu-west-1:1:model-package/g/2") == "model-package/g/2"
    assert json.dumps(brief("run @ 12")) == '"run @ 12"'


def test_windows_without_decisions_are_one_line(report: WorkloadReport, capsys: pytest.CaptureFixture[str]) -> None:
    filled, empty = report.windows[:2], tuple(replace(one, decisions=0) for one in report.windows[2:5])
    _show_windows(STORY.names, (*filled, *empty), None, limit=0)
    shown = capsys.readouterr().out
    assert f"Three windows without decisions, {empty[0].start} to {empty[-1].end}." in shown
    assert str(filled[0].start) in shown
    _show_windows(STORY.names, empty, None, limit=0)
    assert NOTHING in capsys.readouterr().out
    _show_windows(STORY.names, (), None, limit=0)
    none_ran = " ".join(capsys.readouterr().out.split())
    assert "No monitor run has judged a window yet." in none_ran
    assert f"`{command(STORY.names, 'monitor', '--start')}` starts it now" in none_ran


@pytest.mark.parametrize(
    ("decisions", "answered", "labelled", "said"),
    [(158, 79, 79, "79 of 79"), (79, 79, 70, "70"), (79, None, None, "not looked at")],
    ids=["asked twice", "asked once", "too early"],
)
def test_rows_that_were_asked_about_twice_have_one_label(
    report: WorkloadReport, decisions: int, answered: int | None, labelled: int | None, said: str
) -> None:
    window = replace(report.windows[0], decisions=decisions, answered=answered, labelled=labelled)
    row = _row(window, None)
    assert (row["decisions"], row["labelled"]) == (decisions, said)
