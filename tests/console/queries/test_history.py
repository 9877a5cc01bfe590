"""Steps read from histories as AWS writes them: links, retries, redrives, branches."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from millrace.console.queries.steps import Step, failed_step, read_steps

START = datetime(2026, 9, 24, 2, 56, tzinfo=UTC)
LAMBDA = {"resourceType": "lambda", "resource": "invoke", "region": "eu-west-1"}
ERROR = {"resourceType": "lambda", "resource": "invoke", "error": "Boom", "cause": '{"requestId": "r-1"}'}


def event(number: int, before: int, kind: str, **details: Any) -> dict[str, Any]:
    """One event; a second passes between two."""
    return {
        "id": number,
        "previousEventId": before,
        "type": kind,
        "timestamp": START + timedelta(seconds=number),
        **details,
    }


def entered(number: int, before: int, kind: str, name: str) -> dict[str, Any]:
    return event(number, before, f"{kind}StateEntered", stateEnteredEventDetails={"name": name, "input": "{}"})


def exited(number: int, before: int, kind: str, name: str) -> dict[str, Any]:
    return event(number, before, f"{kind}StateExited", stateExitedEventDetails={"name": name, "output": "{}"})


def scheduled(number: int, before: int) -> dict[str, Any]:
    parameters = json.dumps({"FunctionName": "arn:aws:lambda:eu-west-1:123456789012:function:f"})
    return event(number, before, "TaskScheduled", taskScheduledEventDetails={**LAMBDA, "parameters": parameters})


def failed(number: int, before: int) -> dict[str, Any]:
    return event(number, before, "TaskFailed", taskFailedEventDetails=ERROR)


BEGINNING = [
    event(1, 0, "ExecutionStarted", executionStartedEventDetails={"input": "{}"}),
    entered(2, 0, "Choice", "Which?"),
    exited(3, 2, "Choice", "Which?"),
    entered(4, 3, "Task", "Work"),
    scheduled(5, 4),
    event(6, 5, "TaskStarted"),
    failed(7, 6),
]
RETRIED = [scheduled(8, 7), event(9, 8, "TaskStarted"), failed(10, 9)]
ENDED = event(11, 10, "ExecutionFailed", executionFailedEventDetails={"error": "Boom", "cause": "{}"})
REDRIVEN = [
    event(12, 11, "ExecutionRedriven", executionRedrivenEventDetails={"redriveCount": 1}),
    scheduled(13, 4),
    event(14, 13, "TaskStarted"),
]


def named(steps: list[Step], name: str) -> Step:
    (found,) = [step for step in steps if step.name == name]
    return found


def test_a_failed_task_is_told_with_its_tries_and_its_error() -> None:
    steps = read_steps([*BEGINNING, *RETRIED, ENDED])
    assert [(step.name, step.kind, step.outcome) for step in steps] == [
        ("Which?", "Choice", "succeeded"),
        ("Work", "Task", "failed"),
    ]
    work = named(steps, "Work")
    assert (work.tries, work.error, work.cause) == (2, "Boom", '{"requestId": "r-1"}')
    assert (work.seconds, named(steps, "Which?").seconds) == (7.0, 1.0)
    assert work.call is not None
    assert work.call.parameters["FunctionName"].endswith(":f")
    assert failed_step(steps) == work


def test_a_redrive_goes_on_in_the_state_that_it_links_back_to() -> None:
    """AWS enters no state a second time."""
    running = read_steps([*BEGINNING, *RETRIED, ENDED, *REDRIVEN])
    assert [step.name for step in running] == ["Which?", "Work"]
    assert (named(running, "Work").outcome, named(running, "Work").ended) == ("running", None)
    assert named(running, "Which?").outcome == "succeeded"
    assert failed_step(running) is None
    good = [event(15, 14, "TaskSucceeded"), exited(16, 15, "Task", "Work"), event(17, 16, "ExecutionSucceeded")]
    work = named(read_steps([*BEGINNING, *RETRIED, ENDED, *REDRIVEN, *good]), "Work")
    assert (work.outcome, work.tries, work.seconds) == ("succeeded", 3, 12.0)


def test_a_caught_failure_is_told_as_caught() -> None:
    steps = read_steps([*BEGINNING, exited(8, 7, "Task", "Work"), entered(9, 8, "Pass", "Clean up")])
    assert named(steps, "Work").outcome == "caught"
    assert named(steps, "Clean up").outcome == "running"


@pytest.mark.parametrize(
    ("kind", "outcome", "error"),
    [("ExecutionFailed", "failed", "States.Runtime"), ("ExecutionAborted", "stopped", "States.Runtime")],
)
def test_a_state_without_a_task_has_the_error_of_the_execution(kind: str, outcome: str, error: str) -> None:
    details = {kind[0].lower() + kind[1:] + "EventDetails": {"error": error, "cause": "no choice fits"}}
    (step,) = read_steps([*BEGINNING[:2], event(3, 2, kind, **details)])
    assert (step.outcome, step.error, step.cause) == (outcome, error, "no choice fits")
    assert failed_step([step]) == step


def test_what_ran_when_time_was_over_was_stopped() -> None:
    steps = read_steps([*BEGINNING[:6], event(7, 6, "ExecutionTimedOut", executionTimedOutEventDetails={})])
    assert named(steps, "Work").outcome == "stopped"
    assert failed_step(steps) == named(steps, "Work")


def test_of_branches_the_one_that_failed_is_found() -> None:
    steps = read_steps(
        [
            event(1, 0, "ExecutionStarted", executionStartedEventDetails={"input": "{}"}),
            entered(2, 0, "Parallel", "Both"),
            event(3, 2, "ParallelStateStarted"),
            entered(4, 3, "Task", "Left"),
            entered(5, 3, "Task", "Right"),
            scheduled(6, 4),
            scheduled(7, 5),
            event(8, 6, "TaskSucceeded"),
            exited(9, 8, "Task", "Left"),
            failed(10, 7),
            event(11, 10, "ParallelStateFailed"),
            event(12, 11, "ExecutionFailed", executionFailedEventDetails={"error": "Boom"}),
        ]
    )
    assert [step.outcome for step in steps] == ["stopped", "succeeded", "failed"]
    found = failed_step(steps)
    assert found is not None
    assert found.name == "Right"


def test_a_parallel_that_ends_well_is_left_by_its_name() -> None:
    """Its exit links to the last event of a branch."""
    steps = read_steps(
        [
            entered(2, 0, "Parallel", "Both"),
            event(3, 2, "ParallelStateStarted"),
            entered(4, 3, "Pass", "Left"),
            exited(5, 4, "Pass", "Left"),
            event(6, 5, "ParallelStateSucceeded"),
            exited(7, 5, "Parallel", "Both"),
        ]
    )
    assert [(step.name, step.outcome, step.seconds) for step in steps] == [
        ("Both", "succeeded", 5.0),
        ("Left", "succeeded", 1.0),
    ]
