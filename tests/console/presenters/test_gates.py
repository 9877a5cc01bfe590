"""A gate's figure against its bound, in the direction in which it passes."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from millrace import errors
from millrace.console.presenters.catalogue import outcome
from millrace.console.presenters.gates import compared, contribution_rows, measured, required
from millrace.console.presenters.remedy import UNHEALED, find_remedy
from millrace.console.queries.executions import error_type, reason_of
from millrace.console.queries.report import WorkloadReport
from millrace.console.queries.runs import Run, RunDetail
from millrace.console.queries.steps import Step
from millrace.messages.train import GateVerdict
from tests.recorded import compare


def verdict(figure: str, measured: float | None, bound: float | None, unit: str = "", **more: Any) -> GateVerdict:
    return GateVerdict.model_validate(
        {"name": "gate", "passed": True, "sentence": "as it was judged"}
        | {"figure": figure, "measured": measured, "bound": bound, "unit": unit, **more}
    )


LEAST = {"direction": "at_least"}
REFUSED = {"passed": False}
LOSS, LOWER = "log loss saved against the base rate", "lower bound of the improvement"


@pytest.mark.parametrize(
    ("judged", "words"),
    [
        (verdict("mean error", 74.35, 75.39, "µg/m³"), "mean error 74.35 µg/m³ ≤ 75.39 µg/m³"),
        (verdict("mean error", 75.4, 75.39, "µg/m³", **REFUSED), "mean error 75.4 µg/m³ > 75.39 µg/m³"),
        (verdict(LOSS, 0.82, 0.4, "%", **LEAST), "log loss saved against the base rate 82% ≥ 40%"),
        (verdict(LOSS, 0.1, 0.4, "%", **LEAST, **REFUSED), "log loss saved against the base rate 10% < 40%"),
        (verdict("r2", 0.3, 0.2, **LEAST), "r2 0.3 ≥ 0.2"),
        (verdict("p99", 0.0245, 50.0, "ms"), "p99 0.0245 ms ≤ 50 ms"),
        (verdict(LOWER, 0.01, -0.02, **LEAST), "lower bound of the improvement +0.01 ≥ -0.02"),
        (verdict(LOWER, -0.03, -0.02, **LEAST, **REFUSED), "lower bound of the improvement -0.03 < -0.02"),
        (verdict("error", 0.02, 0.02), "error 0.02 ≤ 0.02"),
        (verdict("error", 0.0200000004, 0.02, **REFUSED), "error 0.0200000004 > 0.02"),
        (verdict("error", None, 1.0, **REFUSED), "as it was judged"),
        (verdict("", 1.0, 1.0), "as it was judged"),
        (verdict("answers that are used", 0.9, 0.5, "%", **LEAST, **REFUSED), "as it was judged"),
    ],
)
def test_a_figure_is_compared_in_the_direction_of_its_gate(judged: GateVerdict, words: str) -> None:
    assert compared(judged) == words


def test_the_sentence_of_a_verdict_without_a_figure_is_shown_as_it_is() -> None:
    """A sentence may name a class of the label, and a class may be any text."""
    sentence = "answers for {north} and {0:s} differ by 100%"
    judged = verdict("", 1.0, 2.0, sentence=sentence)
    assert compared(judged) == sentence
    assert required(judged) == sentence
    assert measured(judged) == ""


WHY = {
    "explains": "log odds of fan",
    "base": -1.0,
    "output": 2.0,
    "others": 0.25,
    "contributions": [
        {"column": "demand", "place": "-3 h", "value": "0.41", "contribution": 2.0},
        {"column": "note", "place": "late", "contribution": -1.25},
        {"column": "open", "value": "true", "contribution": 1.5},
        {"column": "load", "value": "7", "contribution": 0.5},
    ],
}


def test_a_table_goes_from_the_reference_to_the_row() -> None:
    rows = contribution_rows(WHY)
    assert [(row["what"], row["adds"]) for row in rows] == [
        ("the reference", "-1"),
        ("demand", "+2"),
        ("note", "-1.25"),
        ("open", "+1.5"),
        ("load", "+0.5"),
        ("all others", "+0.25"),
        ("the row: log odds of fan", "2"),
    ]
    assert len({tuple(row) for row in rows}) == 1


AT = datetime(2026, 1, 1, tzinfo=UTC)
SNAPSHOT = "SnapshotError: walk-forward step 3 got no validation rows"


def failed(*, redrivable: bool = True, status: str = "FAILED") -> RunDetail:
    run = Run(arn="arn:r", machine="train", name="r", status=status, started=AT, stopped=AT, redrives=0)
    return RunDetail(
        run=run,
        input={},
        output=None,
        error="States.TaskFailed",
        cause="",
        redrivable=redrivable,
        why_not_redrivable="" if redrivable else "too old",
        steps=[],
        parent="",
        children=[],
    )


def step(error: str, cause: Any, kind: str = "Task") -> Step:
    return Step(name="Training", kind=kind, entered=AT, outcome="failed", error=error, cause=json.dumps(cause))


def job(reason: str) -> dict[str, str]:
    return {"FailureReason": f"AlgorithmError: {reason}"}


def of_function(kind: str, message: str) -> dict[str, str]:
    return {"errorType": kind, "errorMessage": message}


def of_child(cause: Any, error: str = "States.TaskFailed") -> dict[str, str]:
    return {"ExecutionArn": "arn:x", "Error": error, "Cause": json.dumps(cause)}


LABEL = "WorkloadError: contract.yaml: label: expected a column, got 'x', exit code: 1"
ASTRAY = "TrainingError: epoch 0, step 3: expected a finite training loss, got nan"
FAILURES: dict[str, tuple[str, Any]] = {
    "a job without rows": ("States.TaskFailed", job(f"{SNAPSHOT}, exit code: 1")),
    "a function without rows": ("SnapshotError", of_function("SnapshotError", "expected rows to pin, found none")),
    "a function with another declaration": ("WorkloadError", of_function("WorkloadError", "x")),
    "a job with another contract": ("States.TaskFailed", job(LABEL)),
    "answers that are too few": ("AnswerError", of_function("AnswerError", "expected 3 rows")),
    "a training that went astray": ("States.TaskFailed", job(ASTRAY)),
    "a right that lacks": ("AccessDenied", of_function("AccessDenied", "no")),
    "a container that was killed": ("States.TaskFailed", job(", exit code: 137")),
    "a container that ended": ("States.TaskFailed", job(", exit code: 3")),
    "a child without rows": ("States.TaskFailed", of_child(of_function("SnapshotError", "no rows"), "SnapshotError")),
    "a child whose job had no rows": ("States.TaskFailed", of_child(job(f"{SNAPSHOT}, exit code: 1"))),
}


def test_why_it_failed_and_what_helps_is_recorded() -> None:
    """A redrive only where it can heal. A new retraining would be a request, which cool-down may hold back."""
    lines = []
    for name, (error, cause) in FAILURES.items():
        lines.append(f"{name}: {error_type(error, json.dumps(cause))}: {reason_of(json.dumps(cause))}")
        for redrivable in (True, False):
            remedy = find_remedy(failed(redrivable=redrivable), step(error, cause), short="f477")
            assert remedy is not None
            lines.append(f"    {'' if redrivable else 'too old: '}{' '.join(remedy.words)}: {remedy.advice}")
    compare(Path(__file__).parents[1] / "recorded/remedies.txt", "\n".join(lines))


def test_each_error_of_the_table_is_one_of_ours() -> None:
    assert all(hasattr(errors, name) for name in UNHEALED)


def test_after_a_refusal_nothing_is_rerun(report: WorkloadReport) -> None:
    """By a gate, by the budget or by the guard: the run succeeded, and what it says leads elsewhere."""
    refused = [run for run in report.runs if outcome(run).is_refused]
    assert {run.machine for run in refused} >= {"train", "retrain"}
    budget = {"accepted": False, "reason": "budget", "projected_usd": 9.0, "monthly_usd": 5.0, "champion": None}
    no_room = replace(refused[0], machine="train", output={"budget": {"answer": budget}})
    for run in (*refused, no_room):
        assert outcome(run).is_refused
        assert "rerun" not in outcome(run).look
        told = replace(failed(status=run.status), input=run.input, output=run.output)
        assert find_remedy(told, None, short="f477") is None
    assert outcome(no_room).look == ("cost",)
