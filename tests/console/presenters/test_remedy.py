"""What is proposed after a failure: a redrive only where it can heal."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from millrace import errors
from millrace.console.presenters.catalogue import outcome
from millrace.console.presenters.remedy import UNHEALED, find_remedy
from millrace.console.queries.executions import error_type, reason_of
from millrace.console.queries.report import WorkloadReport
from millrace.console.queries.runs import Run, RunDetail
from millrace.console.queries.steps import Step
from tests.recorded import compare

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
