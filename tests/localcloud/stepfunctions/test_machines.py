"""Step Functions: starts, roles, waits, status events, nested executions, errors, history."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud.stepfunctions.machines import pending
from tests.localcloud.resources import Resources, allow, closed
from tests.localcloud.waiting import until

ROLE = "arn:aws:iam::123456789012:role/machine"


def history(states: Any, arn: str) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = states.get_execution_history(executionArn=arn)["events"]
    return events


PASS = {"Type": "Pass", "End": True}


def test_same_name_and_input_is_quiet_while_running_and_refused_afterwards(machine: Any, states: Any) -> None:
    arn = machine({"A": {"Type": "Wait", "Seconds": 30, "End": True}})
    first = states.start_execution(stateMachineArn=arn, name="one", input="{}")
    again = states.start_execution(stateMachineArn=arn, name="one", input="{}")
    assert again["executionArn"] == first["executionArn"]
    with pytest.raises(ClientError, match="ExecutionAlreadyExists"):
        states.start_execution(stateMachineArn=arn, name="one", input='{"other": 1}')
    states.stop_execution(executionArn=first["executionArn"], error="Enough", cause="a test")
    with pytest.raises(ClientError, match="ExecutionAlreadyExists"):
        states.start_execution(stateMachineArn=arn, name="one", input="{}")
    told = states.describe_execution(executionArn=first["executionArn"])
    assert (told["status"], told["error"], told["cause"]) == ("ABORTED", "Enough", "a test")
    assert history(states, first["executionArn"])[-1]["type"] == "ExecutionAborted"


def test_stopping_an_execution_that_has_ended_changes_nothing(machine: Any, run: Any, states: Any) -> None:
    ended = run(machine({"A": PASS}))
    stopped = states.stop_execution(executionArn=ended["executionArn"], error="Late", cause="a test")
    assert stopped["stopDate"] == ended["stopDate"]
    assert "error" not in states.describe_execution(executionArn=ended["executionArn"])


def test_the_machines_role_must_allow_what_a_task_does(aws: Resources) -> None:
    table = aws.table("k")
    put = {
        "Type": "Task",
        "Resource": "arn:aws:states:::dynamodb:putItem",
        "Parameters": {"TableName": table, "Item": {"k": {"S": "a"}}},
        "End": True,
    }
    resource = f"arn:aws:dynamodb:eu-west-1:123456789012:table/{table}"
    allowed, denied = (aws.role("states", allow(f"dynamodb:{name}", resource)) for name in ("PutItem", "GetItem"))
    assert aws.run(aws.machine({"A": put}, role=allowed))["status"] == "SUCCEEDED"
    assert aws.run(aws.machine({"A": put}, role=denied))["error"] == "DynamoDB.AccessDeniedException"


def test_time_limit_of_a_machine(machine: Any, run: Any, states: Any) -> None:
    arn = machine({"A": {"Type": "Wait", "Seconds": 30, "End": True}}, TimeoutSeconds=1)
    told = run(arn)
    assert told["status"] == "TIMED_OUT"
    assert history(states, told["executionArn"])[-1]["type"] == "ExecutionTimedOut"


def test_status_changes_are_told_on_the_bus(aws: Resources) -> None:
    arn = aws.machine({"A": PASS})
    queue = aws.heard(source=["aws.states"], detail={"stateMachineArn": [arn]})
    told = aws.run(arn, {"x": 1})
    details: list[dict[str, Any]] = []
    until(lambda: len(details.extend(one["detail"] for one in queue.bodies()) or details) == 2)
    by_status = {detail["status"]: detail for detail in details}
    assert set(by_status) == {"RUNNING", "SUCCEEDED"}
    assert by_status["SUCCEEDED"]["executionArn"] == told["executionArn"]
    assert by_status["SUCCEEDED"]["output"] == '{"x":1}'
    assert isinstance(by_status["SUCCEEDED"]["stopDate"], int)
    assert by_status["RUNNING"]["stopDate"] is None


NESTED = {"Type": "Task", "Resource": "arn:aws:states:::states:startExecution.sync:2", "End": True}


@pytest.mark.parametrize(("pattern", "read"), [(".sync", json.loads), (".sync:2", lambda output: output)])
def test_nested_executions(machine: Any, run: Any, pattern: str, read: Any) -> None:
    inner = machine({"A": {"Type": "Pass", "Result": {"y": 2}, "End": True}})
    resource = f"arn:aws:states:::states:startExecution{pattern}"
    nested = {**NESTED, "Resource": resource, "Parameters": {"StateMachineArn": inner, "Input": {"x.$": "$.x"}}}
    output = json.loads(run(machine({"A": nested}), {"x": 1})["output"])
    assert read(output["Output"]) == {"y": 2}
    assert output["Status"] == "SUCCEEDED"


def test_a_nested_failure_fails_the_task_with_its_description(machine: Any, run: Any) -> None:
    inner = machine({"A": {"Type": "Fail", "Error": "Mine", "Cause": "because"}})
    nested = {**NESTED, "Parameters": {"StateMachineArn": inner}}
    told = run({"A": nested})
    assert told["error"] == "States.TaskFailed"
    assert json.loads(told["cause"])["Error"] == "Mine"
    # Under its name it leaves a Parallel state.
    caught = {"ErrorEquals": ["States.TaskFailed"], "Next": "Z"}
    branch = {"StartAt": "N", "States": {"N": nested}}
    both = {"Type": "Parallel", "Branches": [branch], "Catch": [caught], "End": True}
    assert run({"P": both, "Z": {"Type": "Pass", "Result": "caught", "End": True}}).get("output") == '"caught"'


def test_a_token_times_out_by_the_clock(machine: Any, states: Any, client: Any, fresh: Any, cloud: Any) -> None:
    url = client("sqs").create_queue(QueueName=fresh("approval"))["QueueUrl"]
    ask = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
        "Parameters": {"QueueUrl": url, "MessageBody": {"token.$": "$$.Task.Token"}},
        "TimeoutSeconds": 7 * 86_400,
        "End": True,
    }
    started = states.start_execution(stateMachineArn=machine({"A": ask}))["executionArn"]
    client("sqs").receive_message(QueueUrl=url, WaitTimeSeconds=5)
    time.sleep(0.1)
    cloud.clock.move(cloud.clock.now() + timedelta(days=8))
    assert closed(states, started)["error"] == "States.Timeout"


def test_put_events_leaves_parameters_and_event_ids_in_the_history(machine: Any, run: Any, states: Any) -> None:
    put = {
        "Type": "Task",
        "Resource": "arn:aws:states:::events:putEvents",
        "Parameters": {"Entries": [{"Source": "a", "DetailType": "b", "Detail": {"c": 1}, "EventBusName": "default"}]},
        "End": True,
    }
    told = run(machine({"A": put}))
    assert told["status"] == "SUCCEEDED", told
    events = {event["type"]: event for event in history(states, told["executionArn"])}
    assert "Entries" in events["TaskScheduled"]["taskScheduledEventDetails"]["parameters"]
    assert "EventId" in events["TaskSucceeded"]["taskSucceededEventDetails"]["output"]


def test_aws_sdk_results_are_json_and_errors_have_the_services_name(machine: Any, run: Any, client: Any) -> None:
    task = {"Type": "Task", "Resource": "arn:aws:states:::aws-sdk:s3:listBuckets", "Parameters": {}, "End": True}
    client("s3").create_bucket(Bucket="tiny-listed", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    output = json.loads(run(machine({"A": task}))["output"])
    assert output["Buckets"][0]["CreationDate"].endswith("Z")
    describe = {
        "Type": "Task",
        "Resource": "arn:aws:states:::aws-sdk:sagemaker:describeEndpoint",
        "Parameters": {"EndpointName": "nobody"},
        "End": True,
    }
    assert run(machine({"A": describe}))["error"] == "SageMaker.SageMakerException"


RUN_TASK = {"Type": "Task", "Resource": "arn:aws:states:::ecs:runTask.sync", "Parameters": {}, "End": True}


@pytest.mark.parametrize(
    ("state", "more", "named"),
    [
        ({"Type": "Pass", "QueryLanguage": "JSONata", "End": True}, {}, "does not cover: state JSONata"),
        (RUN_TASK, {}, "does not cover: task ecs:runTask.sync"),
    ],
)
def test_what_is_not_covered_is_refused_by_name(machine: Any, state: Any, more: Any, named: str) -> None:
    with pytest.raises(ClientError, match=named):
        machine({"A": state}, **more)
    # The negative control: it is the value that is refused, not the word.
    machine(
        {"A": {"Type": "Pass", "Result": {"ProcessorConfig": {"Mode": "DISTRIBUTED"}, "Resource": "ecs"}, "End": True}}
    )


def test_nameless_starts_get_names_of_their_own(machine: Any, run: Any) -> None:
    arn = machine({"A": PASS})
    assert run(arn)["name"] != run(arn)["name"]


def test_moving_the_clock_ends_a_wait(machine: Any, states: Any, cloud: Any) -> None:
    arn = machine({"A": {"Type": "Wait", "Seconds": 86_400, "End": True}})
    started = states.start_execution(stateMachineArn=arn)["executionArn"]
    time.sleep(0.1)
    assert not any(started in line for line in pending(cloud))
    assert states.describe_execution(executionArn=started)["status"] == "RUNNING"
    cloud.clock.move(cloud.clock.now() + timedelta(days=1, seconds=1))
    assert closed(states, started)["status"] == "SUCCEEDED"
