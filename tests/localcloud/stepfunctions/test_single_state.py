"""TestState: one state with a mocked error in place of its call, answered in AWS's shape."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud.stepfunctions.error_names import matches

RETRY = {"ErrorEquals": ["Lambda.ServiceException"], "IntervalSeconds": 2, "MaxAttempts": 3, "BackoffRate": 2}
CATCH = {"ErrorEquals": ["States.TaskFailed"], "ResultPath": "$.failed", "Next": "Clean up"}
TASK = {
    "Type": "Task",
    "Resource": "arn:aws:states:::lambda:invoke",
    "Parameters": {"FunctionName": "f", "Payload": {"x.$": "$.x", "run.$": "$$.Execution.Name"}},
    "ResultSelector": {"answer.$": "$.Payload"},
    "ResultPath": "$.step",
    "Retry": [RETRY],
    "Catch": [CATCH],
    "Next": "Done",
}


@pytest.fixture
def answer(client: Callable[[str], Any]) -> Callable[..., dict[str, Any]]:
    def run(state: dict[str, Any], given: Any = None, **more: Any) -> dict[str, Any]:
        found: dict[str, Any] = client("stepfunctions").test_state(
            definition=json.dumps(state),
            input=json.dumps({"x": 1} if given is None else given),
            **{"inspectionLevel": "DEBUG"} | more,
        )
        return found

    return run


def error(name: str) -> dict[str, Any]:
    return {"errorOutput": {"error": name, "cause": "a cause"}}


def test_the_output_of_a_state_is_answered_with_the_next(answer: Any) -> None:
    found = answer({"Type": "Pass", "Result": 2, "ResultPath": "$.y", "Next": "Done"})
    assert (found["status"], found["nextState"]) == ("SUCCEEDED", "Done")
    assert json.loads(found["output"]) == {"x": 1, "y": 2}


def test_what_nothing_takes_fails(answer: Any) -> None:
    found = answer(TASK, mock=error("States.Timeout"))
    assert (found["status"], found["error"]) == ("FAILED", "States.Timeout")
    found = answer(TASK, {}, mock=error("E"))
    assert (found["status"], found["error"]) == ("FAILED", "States.Runtime")
    assert "$.x" in found["cause"]


@pytest.mark.parametrize(
    ("state", "more", "named"),
    [
        ({"Type": "Pass", "End": True}, {"mock": error("E")}, "can only be specified for Task"),
        (TASK, {"mock": {**error("E"), "result": "{}"}}, "either a result or an errorOutput"),
        (TASK, {"mock": error("E"), "stateConfiguration": {"errorCausedByState": "A"}}, "for Map or Parallel"),
    ],
)
def test_what_aws_refuses_is_refused(answer: Any, state: dict[str, Any], more: dict[str, Any], named: str) -> None:
    with pytest.raises(ClientError, match=named):
        answer(state, **more)


@pytest.mark.parametrize(
    ("state", "more", "named"),
    [
        ({"Type": "Map"}, {"mock": {"result": "[]"}}, "a Map state"),
        ({"Type": "Wait", "Seconds": 1}, {}, "a Wait state"),
        (TASK, {"mock": {}}, "a Task state without a mock"),
        (TASK, {"mock": {"result": "{}"}}, "with a mocked result"),
        (TASK, {"mock": error("E"), "context": "{}"}, "with context"),
    ],
)
def test_what_is_not_covered_is_refused_by_name(
    answer: Any, state: dict[str, Any], more: dict[str, Any], named: str
) -> None:
    with pytest.raises(NotImplementedError, match=f"does not cover TestState (of )?{named}"):
        answer(state, **more)


@pytest.mark.parametrize(
    ("listed", "name", "expected"),
    [
        (["States.ALL"], "KeyError", True),
        (["States.ALL"], "States.Timeout", True),
        (["States.ALL"], "States.DataLimitExceeded", False),
        (["States.DataLimitExceeded"], "States.DataLimitExceeded", True),
        (["States.ALL"], "States.Runtime", False),
        (["States.Runtime"], "States.Runtime", False),
        (["States.TaskFailed"], "States.Timeout", False),
        (["States.TaskFailed"], "States.Permissions", True),
    ],
)
def test_error_names_match_as_aws_documents_it(listed: list[str], name: str, expected: bool) -> None:
    assert matches(listed, name) is expected
