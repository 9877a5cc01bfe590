"""TestState: one state with a mock in place of its call, answered in AWS's shape."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud.stepfunctions.error_names import matches
from tests.localcloud.resources import Resources, allow

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


def test_a_mocked_result_goes_through_the_state(answer: Any) -> None:
    found = answer(TASK, mock={"result": '{"Payload": {"ok": true}}'})
    assert (found["status"], found["nextState"]) == ("SUCCEEDED", "Done")
    assert json.loads(found["output"]) == {"x": 1, "step": {"answer": {"ok": True}}}
    seen = {key: json.loads(value) for key, value in found["inspectionData"].items()}
    assert seen["afterParameters"]["Payload"] == {"x": 1, "run": "test"}
    assert (seen["result"], seen["afterResultSelector"]) == ({"Payload": {"ok": True}}, {"answer": {"ok": True}})
    assert seen["afterResultPath"] == json.loads(found["output"])


def test_what_nothing_takes_fails(answer: Any) -> None:
    found = answer(TASK, mock=error("States.Timeout"))
    assert (found["status"], found["error"]) == ("FAILED", "States.Timeout")
    found = answer(TASK, {}, mock={"result": "{}"})
    assert (found["status"], found["error"]) == ("FAILED", "States.Runtime")
    assert "$.x" in found["cause"]


DESCRIBE = {"Type": "Task", "Resource": "arn:aws:states:::aws-sdk:sagemaker:describeEndpoint", "End": True}


@pytest.mark.parametrize(
    ("state", "more", "named"),
    [
        (TASK, {}, "A roleArn is required"),
        ({**DESCRIBE, "Resource": "arn:aws:states:::sagemaker:createTrainingJob.sync"}, {}, "A mock is required"),
        ({"Type": "Pass", "End": True}, {"mock": error("E")}, "can only be specified for Task"),
        (TASK, {"mock": {}}, "roleArn is required"),
        (TASK, {"mock": {**error("E"), "result": "{}"}}, "either a result or an errorOutput"),
        (TASK, {"mock": {"result": '{"StatusCode": "200"}'}}, "StatusCode"),
        (DESCRIBE, {"mock": {"result": '{"EndpointName": "e"}'}}, "Missing required parameter"),
    ],
)
def test_what_aws_refuses_is_refused(answer: Any, state: dict[str, Any], more: dict[str, Any], named: str) -> None:
    with pytest.raises(ClientError, match=named):
        answer(state, **more)


PUT = {"Type": "Task", "Resource": "arn:aws:states:::events:putEvents", "Parameters": {"Entries": []}, "End": True}
EACH = {
    "Type": "Map",
    "ItemsPath": "$.drops",
    "ItemSelector": {"x.$": "$.x", "at.$": "$$.Map.Item.Index", "item.$": "$$.Map.Item.Value"},
    "MaxConcurrency": 1,
    "ItemProcessor": {"ProcessorConfig": {"Mode": "INLINE"}, "StartAt": "Put", "States": {"Put": PUT}},
    "ResultPath": "$.events",
    "Retry": [RETRY],
    "Catch": [CATCH],
    "Next": "Done",
}
DROPS = {"x": 1, "drops": ["a", "b"]}


def test_a_map_ends_as_mocked_and_tells_what_its_iterations_would_get(answer: Any) -> None:
    found = answer(EACH, DROPS, mock={"result": '["one", "two"]'})
    assert (found["status"], found["nextState"]) == ("SUCCEEDED", "Done")
    assert json.loads(found["output"]) == {**DROPS, "events": ["one", "two"]}
    seen = found["inspectionData"]
    assert json.loads(seen["afterItemsPath"]) == ["a", "b"]
    assert json.loads(seen["afterItemSelector"]) == [
        {"x": 1, "at": 0, "item": "a"},
        {"x": 1, "at": 1, "item": "b"},
    ]
    assert (json.loads(seen["result"]), seen["maxConcurrency"]) == (["one", "two"], 1)


@pytest.mark.parametrize(("name", "status"), [("Lambda.ServiceException", "RETRIABLE"), ("E", "CAUGHT_ERROR")])
def test_an_error_of_an_iteration_is_one_of_the_map(answer: Any, name: str, status: str) -> None:
    found = answer(EACH, DROPS, mock=error(name), stateConfiguration={"errorCausedByState": "Put"})
    assert (found["status"], found["error"], found["cause"]) == (status, name, "a cause")
    without = {key: value for key, value in EACH.items() if key not in ("Retry", "Catch")}
    assert (answer(without, DROPS, mock=error(name))["status"]) == "FAILED"


@pytest.mark.parametrize(
    ("state", "more", "named"),
    [
        (EACH, {}, "A mock is required for a Map state"),
        (EACH, {"mock": {"result": "{}"}}, "expected an array"),
        (EACH, {"mock": error("E"), "stateConfiguration": {"errorCausedByState": "No"}}, "No is no state"),
        (TASK, {"mock": error("E"), "stateConfiguration": {"errorCausedByState": "A"}}, "for Map or Parallel"),
    ],
)
def test_a_mock_that_does_not_fit_a_map_is_refused(
    answer: Any, state: dict[str, Any], more: dict[str, Any], named: str
) -> None:
    with pytest.raises(ClientError, match=named):
        answer(state, DROPS, **more)


def test_what_is_not_covered_is_refused_by_name(answer: Any) -> None:
    with pytest.raises(NotImplementedError, match="does not cover TestState of a Parallel state"):
        answer({"Type": "Parallel", "End": True}, mock=error("E"))
    distributed = {**EACH, "ItemProcessor": {**EACH["ItemProcessor"], "ProcessorConfig": {"Mode": "DISTRIBUTED"}}}
    with pytest.raises(NotImplementedError, match="does not cover TestState of a distributed Map state"):
        answer(distributed, DROPS, mock=error("E"))


def test_a_part_of_a_result_is_enough_where_only_what_is_there_is_checked(answer: Any) -> None:
    mock = {"result": '{"EndpointName": "e"}', "fieldValidationMode": "PRESENT"}
    assert answer(DESCRIBE, mock=mock)["status"] == "SUCCEEDED"
    with pytest.raises(ClientError, match="EndpointName"):
        answer(DESCRIBE, mock={**mock, "result": '{"EndpointName": 1}'})
    assert answer(DESCRIBE, mock={"result": '{"EndpointName": 1}', "fieldValidationMode": "NONE"})["output"]


def test_without_a_mock_the_call_is_made_with_the_role(answer: Any, aws: Resources) -> None:
    state = {"Type": "Task", "Resource": "arn:aws:states:::aws-sdk:s3:listBuckets", "Parameters": {}, "End": True}
    assert answer(state, roleArn=aws.role("states"))["error"] == "S3.AccessDeniedException"
    assert "Buckets" in json.loads(answer(state, roleArn=aws.role("states", allow("s3:ListAllMyBuckets")))["output"])


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
        (["Other"], "KeyError", False),
    ],
)
def test_error_names_match_as_aws_documents_it(listed: list[str], name: str, expected: bool) -> None:
    assert matches(listed, name) is expected
