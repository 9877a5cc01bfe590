"""What is proposed after a failure: a redrive only where it can heal."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from millrace import errors
from millrace.console.presenters.catalogue import outcome
from millrace.console.presenters.remedy import UNHEALED, find_remedy
from millrace.console.queries.executions import error_type, reason_of
from millrace.console.queries.report import WorkloadReport
from millrace.console.queries.runs import Run, RunDetail
from millrace.console.queries.steps import Step

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


@pytest.mark.parametrize(
    ("broken", "word"),
    [
        (step("States.TaskFailed", {"FailureReason": f"AlgorithmError: {SNAPSHOT}, exit code: 1"}), "same rows"),
        (step("SnapshotError", {"errorType": "SnapshotError", "errorMessage": "no rows"}), "same rows"),
        (step("SnapshotError", {"errorType": "SnapshotError", "errorMessage": "expected rows to pin, found none"}),
         "drop the rows that it lacks"),
        (step("WorkloadError", {"errorType": "WorkloadError", "errorMessage": "x"}), "same declaration"),
        (step("States.TaskFailed", {"FailureReason": "AlgorithmError: WorkloadError: contract.yaml: label: expected a "
                                                     "column, got 'x', exit code: 1"}), "contract.yaml"),
        (step("AnswerError", {"errorType": "AnswerError", "errorMessage": "expected 3 rows"}), "same answers"),
        (step("RolledBack", "an alarm", kind="Fail"), "on purpose"),
    ],
)  # fmt: skip
def test_what_a_redrive_repeats_needs_a_new_run(broken: Step, word: str) -> None:
    remedy = find_remedy(failed(), broken, short="f477")
    assert remedy is not None
    assert word in remedy.advice
    assert remedy.words == ("rerun", "f477", "--new")


def test_what_a_redrive_can_heal_is_redriven() -> None:
    remedy = find_remedy(failed(), step("AccessDenied", {"errorType": "AccessDenied", "errorMessage": "no"}), short="f")
    assert remedy is not None
    assert remedy.words == ("rerun", "f")
    killed = step("States.TaskFailed", {"FailureReason": "AlgorithmError: , exit code: 137"})
    assert (remedy := find_remedy(failed(), killed, short="f")) is not None
    assert remedy.words == ("rerun", "f")
    old = find_remedy(failed(redrivable=False), None, short="f")
    assert old is not None
    assert ("too old" in old.advice, old.words) == (True, ("rerun", "f", "--new"))
    assert find_remedy(failed(status="SUCCEEDED"), None, short="f") is None


def test_a_training_that_went_astray_would_go_astray_again() -> None:
    reason = "AlgorithmError: TrainingError: epoch 0, step 3: expected a finite training loss, got nan"
    remedy = find_remedy(failed(), step("States.TaskFailed", {"FailureReason": reason}), short="f477")
    assert remedy is not None
    assert "learning rate" in remedy.advice
    assert remedy.words == ("rerun", "f477", "--new")


def test_each_error_of_the_table_is_one_of_ours() -> None:
    assert all(hasattr(errors, name) for name in UNHEALED)


def test_a_container_that_said_nothing_is_explained() -> None:
    killed = "the container was killed: out of memory, or ended by the platform (exit code 137)"
    assert reason_of("AlgorithmError: , exit code: 137") == killed
    assert reason_of(json.dumps({"FailureReason": "AlgorithmError: , exit code: 137"})) == killed
    assert reason_of("AlgorithmError: , exit code: 3") == "the container ended without a message (exit code 3)"
    assert reason_of("AlgorithmError: no rows, exit code: 1") == "AlgorithmError: no rows, exit code: 1"
    assert error_type("States.TaskFailed", "AlgorithmError: , exit code: 137") == "States.TaskFailed"


def test_the_failure_of_a_run_that_was_waited_for_is_its_own() -> None:
    own = {"errorType": "SnapshotError", "errorMessage": "no rows"}
    child = {"ExecutionArn": "arn:x", "Error": "SnapshotError", "Cause": json.dumps(own)}
    assert reason_of(json.dumps(child)) == "SnapshotError: no rows"
    assert error_type("States.TaskFailed", json.dumps(child)) == "SnapshotError"
    job = {"FailureReason": f"AlgorithmError: {SNAPSHOT}, exit code: 1"}
    child = {"ExecutionArn": "arn:x", "Error": "States.TaskFailed", "Cause": json.dumps(job)}
    assert error_type("States.TaskFailed", json.dumps(child)) == "SnapshotError"


@pytest.mark.parametrize("job", [{"FailureReason": f"AlgorithmError: {SNAPSHOT}, exit code: 1"},
                                 {"errorType": "SnapshotError", "errorMessage": "no rows"}])  # fmt: skip
def test_a_run_that_waited_for_another_starts_a_new_one_when_it_is_redriven(job: dict[str, str]) -> None:
    """A new retraining would be a request of its own, which cool-down and new labels may hold back."""
    child = {"ExecutionArn": "arn:x", "Error": "States.TaskFailed", "Cause": json.dumps(job)}
    remedy = find_remedy(failed(), step("States.TaskFailed", child), short="f477")
    assert remedy is not None
    assert remedy.words == ("rerun", "f477")
    assert remedy.advice.startswith(
        "the run that it waited for failed, and redriven it starts a new one: the same rows"
    )
    assert "then start a new run" not in remedy.advice
    old = find_remedy(failed(redrivable=False), step("States.TaskFailed", child), short="f477")
    assert old is not None
    assert old.words == ("rerun", "f477", "--new")


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
