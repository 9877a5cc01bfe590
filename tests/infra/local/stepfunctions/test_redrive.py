"""RedriveExecution: what failed runs again, what succeeded does not, the history and the counts go on."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.infra.local import tiny_images
from tests.infra.local.waiting import until


@pytest.fixture
def states(client: Callable[[str], Any]) -> Any:
    return client("stepfunctions")


@pytest.fixture
def table(client: Any, fresh: Callable[..., str]) -> str:
    """A table in which a machine counts what it does; it fails while the item `open` is missing."""
    name = fresh("table")
    client("dynamodb").create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    return name


@pytest.fixture
def start(states: Any, client: Any, fresh: Callable[..., str]) -> Callable[[dict[str, Any]], str]:
    """The ARN of an execution of a machine of the given states, when it is closed."""
    iam, role = client("iam"), fresh("role")
    arn = iam.create_role(RoleName=role, AssumeRolePolicyDocument=tiny_images.trust("states.amazonaws.com"))
    statement = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    iam.put_role_policy(RoleName=role, PolicyName="all", PolicyDocument=json.dumps(policy))

    def run(steps: dict[str, Any]) -> str:
        machine = states.create_state_machine(
            name=fresh("machine"),
            roleArn=arn["Role"]["Arn"],
            definition=json.dumps({"StartAt": next(iter(steps)), "States": steps}),
        )
        execution: str = states.start_execution(stateMachineArn=machine["stateMachineArn"])["executionArn"]
        closed(states, execution)
        return execution

    return run


def closed(states: Any, arn: str) -> dict[str, Any]:
    until(lambda: states.describe_execution(executionArn=arn)["status"] != "RUNNING")
    told: dict[str, Any] = states.describe_execution(executionArn=arn)
    return told


def count(table: str, key: str, **more: Any) -> dict[str, Any]:
    """A state that adds one to the item `key`."""
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::dynamodb:updateItem",
        "Parameters": {
            "TableName": table,
            "Key": {"k": {"S": key}},
            "UpdateExpression": "ADD n :one",
            "ExpressionAttributeValues": {":one": {"N": "1"}},
        },
        "ResultPath": None,
        **more,
    }


def gate(table: str, **more: Any) -> dict[str, Any]:
    """A state that fails while the item `open` is missing."""
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::dynamodb:putItem",
        "Parameters": {
            "TableName": table,
            "Item": {"k": {"S": "open"}, "m": {"S": "1"}},
            "ConditionExpression": "attribute_exists(k)",
        },
        "ResultPath": None,
        **more,
    }


def counts(client: Any, table: str) -> dict[str, int]:
    items = client("dynamodb").scan(TableName=table)["Items"]
    return {item["k"]["S"]: int(item["n"]["N"]) for item in items if "n" in item}


def open_gate(client: Any, table: str) -> None:
    client("dynamodb").put_item(TableName=table, Item={"k": {"S": "open"}})


def test_only_what_failed_runs_again(start: Any, states: Any, client: Any, table: str) -> None:
    redrives = {"Type": "Pass", "Parameters": {"n.$": "$$.Execution.RedriveCount"}, "End": True}
    arn = start(
        {"A": count(table, "a", Next="G"), "G": gate(table, Next="B"), "B": count(table, "b", Next="C"), "C": redrives}
    )
    failed = closed(states, arn)
    assert (failed["status"], failed["redriveStatus"], failed["redriveCount"]) == ("FAILED", "REDRIVABLE", 0)
    open_gate(client, table)
    states.redrive_execution(executionArn=arn)
    told = closed(states, arn)
    assert (told["status"], told["redriveCount"]) == ("SUCCEEDED", 1)
    assert json.loads(told["output"]) == {"n": 1}
    assert counts(client, table) == {"a": 1, "b": 1}
    events = states.get_execution_history(executionArn=arn)["events"]
    types = [event["type"] for event in events]
    assert [event["id"] for event in events] == list(range(1, len(events) + 1))
    assert types.count("ExecutionStarted") == 1
    redriven = types.index("ExecutionRedriven")
    assert types[redriven - 1] == "ExecutionFailed"
    entered = [
        event["stateEnteredEventDetails"]["name"] for event in events[redriven:] if "stateEnteredEventDetails" in event
    ]
    assert entered == ["G", "B", "C"]


def test_branches_and_iterations_that_succeeded_are_not_run_again(
    start: Any, states: Any, client: Any, table: str
) -> None:
    good = {"StartAt": "A", "States": {"A": count(table, "a", End=True)}}
    bad = {"StartAt": "D", "States": {"D": {"Type": "Wait", "Seconds": 1, "Next": "G"}, "G": gate(table, End=True)}}
    loop = {
        "Type": "Map",
        "ItemsPath": "$.items",
        "MaxConcurrency": 1,
        "ItemProcessor": {"StartAt": "I", "States": {"I": count(table, "i", Next="H"), "H": gate(table, End=True)}},
        "End": True,
    }
    items = {"Type": "Pass", "Result": {"items": [1, 2]}, "Next": "L"}
    arn = start({"P": {"Type": "Parallel", "Branches": [good, bad], "Next": "S"}, "S": items, "L": loop})
    assert counts(client, table) == {"a": 1}
    open_gate(client, table)
    states.redrive_execution(executionArn=arn)
    assert closed(states, arn)["status"] == "SUCCEEDED"
    assert counts(client, table) == {"a": 1, "i": 2}
    client("dynamodb").delete_item(TableName=table, Key={"k": {"S": "open"}})


def test_a_loop_is_taken_as_often_as_it_went(start: Any, states: Any, client: Any, table: str) -> None:
    again = {
        "Type": "Choice",
        "Choices": [{"Variable": "$.n", "NumericLessThan": 3, "Next": "Add"}],
        "Default": "G",
    }
    add = {"Type": "Pass", "Parameters": {"n.$": "States.MathAdd($.n, 1)"}, "Next": "A"}
    arn = start(
        {
            "Zero": {"Type": "Pass", "Result": {"n": 0}, "Next": "Add"},
            "Add": add,
            "A": count(table, "a", Next="Again"),
            "Again": again,
            "G": gate(table, End=True),
        }
    )
    assert counts(client, table) == {"a": 3}
    open_gate(client, table)
    states.redrive_execution(executionArn=arn)
    assert json.loads(closed(states, arn)["output"]) == {"n": 3}
    assert counts(client, table) == {"a": 3}


def test_what_succeeded_or_was_caught_cannot_be_redriven(start: Any, states: Any, table: str) -> None:
    caught = gate(table, Catch=[{"ErrorEquals": ["States.ALL"], "Next": "Z"}], End=True)
    arn = start({"G": caught, "Z": {"Type": "Succeed"}})
    with pytest.raises(ClientError, match="ExecutionNotRedrivable"):
        states.redrive_execution(executionArn=arn)


def test_a_redrive_that_fails_can_be_redriven(start: Any, states: Any, client: Any, table: str) -> None:
    arn = start({"A": count(table, "a", Next="G"), "G": gate(table, End=True)})
    states.redrive_execution(executionArn=arn)
    assert closed(states, arn)["status"] == "FAILED"
    open_gate(client, table)
    states.redrive_execution(executionArn=arn)
    told = closed(states, arn)
    assert (told["status"], told["redriveCount"]) == ("SUCCEEDED", 2)
    assert counts(client, table) == {"a": 1}
