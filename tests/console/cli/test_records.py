"""What the commands on models and records say of words that they cannot use; a whole cloud tests what they do."""

import os
import signal
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow.parquet as pq
import pytest
from typer import Exit
from typer.testing import CliRunner

from millrace.console.actions.predict import RowAnswer
from millrace.console.cli.app import app
from millrace.console.cli.options import Target
from millrace.console.cli.predict import _Counted, _summarize
from millrace.console.demo.electricity import STORY
from tests.console.actions.test_predict import Function, parquet, rows


@pytest.fixture(autouse=True)
def _nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment that answers nobody: what is told here is told before anybody is asked."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://localhost:1")
    monkeypatch.setenv("COLUMNS", "200")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("predict", "none.csv"), "none.csv: FILE: expected a file or a folder, got 'none of that name'"),
        (("decisions", "--from", "May"), "--from: expected a day as 1997-05-01, got 'May'"),
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


@pytest.mark.parametrize(
    ("fallbacks", "refused", "told", "is_refused"),
    [
        ([False, False], 0, [], False),
        ([True, False], 0, ["2 rows: 1 answered by the model, 1 by its fallback or not at all, 0 refused"], False),
        ([True, True], 0, ["2 rows: 0 answered by", "A fallback: no model is live yet"], True),
        ([False], 2, ["3 rows: 1 answered by the model, 0 by its fallback or not at all, 2 refused"], False),
        ([], 2, ["2 rows: 0 answered by the model, 0 by its fallback or not at all, 2 refused"], True),
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


@pytest.mark.parametrize(("number", "answered"), [(signal.SIGINT, 1000), (signal.SIGTERM, 0)])
def test_a_signal_leaves_the_answers_that_came(
    number: signal.Signals, answered: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The call under way is cut off; what it may have decided is told."""

    class Cut(Function):
        def invoke(self, **asked: Any) -> dict[str, Any]:
            if 1000 * len(self.calls) == answered:
                os.kill(os.getpid(), number)
            return super().invoke(**asked)

    function = Cut()
    here = SimpleNamespace(client=lambda _: function)
    monkeypatch.setattr(Target, "find_deployed", lambda _: (here, STORY.names))
    file, output = parquet(tmp_path / "rows.parquet", rows(2500)), tmp_path / "answers.parquet"
    done = CliRunner().invoke(app, ["predict", str(file), "--output", str(output)])
    assert (done.exit_code, pq.read_table(output).num_rows) == (128 + number, answered)
    assert f"stopped behind {answered:,} rows. The call that was under way may have decided 1,000 more" in done.stderr
