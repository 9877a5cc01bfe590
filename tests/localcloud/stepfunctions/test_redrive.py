"""RedriveExecution: what failed runs again, what succeeded does not, the history and the counts go on.

What the histories look like is what AWS's own do: recorded answers of redriven executions, and
https://docs.aws.amazon.com/step-functions/latest/dg/redrive-executions.html"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud.stepfunctions.executions import executions
from tests.localcloud.resources import Resources, closed


@pytest.fixture
def table(aws: Resources) -> str:
    """A table in which a machine counts what it does; it fails while the item `open` is missing."""
    return aws.table("k")


@pytest.fixture
def start(aws: Resources) -> Callable[..., str]:
    """The ARN of an execution of a machine of the given states, when it is closed."""
    return lambda steps, **more: str(aws.run(aws.machine(steps, **more))["executionArn"])


def redriven(states: Any, arn: str) -> dict[str, Any]:
    """What DescribeExecution says when the redriven execution is closed again."""
    states.redrive_execution(executionArn=arn)
    return closed(states, arn)


def history(states: Any, arn: str) -> list[tuple[str, int, int]]:
    """Type, id and the id of the event before, of each event."""
    events = states.get_execution_history(executionArn=arn)["events"]
    return [(event["type"], event["id"], event["previousEventId"]) for event in events]


def since_redrive(states: Any, arn: str) -> list[str]:
    """The types of the events since the last redrive."""
    types = [kind for kind, _, _ in history(states, arn)]
    return types[len(types) - types[::-1].index("ExecutionRedriven") :]


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
    told = redriven(states, arn)
    assert (told["status"], told["redriveCount"]) == ("SUCCEEDED", 1)
    assert (told["startDate"], told["input"]) == (failed["startDate"], failed["input"])
    assert json.loads(told["output"]) == {"n": 1}
    assert counts(client, table) == {"a": 1, "b": 1}


def test_the_history_goes_on_from_the_first_entry(start: Any, states: Any, client: Any, table: str) -> None:
    """No state that was entered is entered a second time; its next event links back to its entry."""
    arn = start({"A": count(table, "a", Next="G"), "G": gate(table, Next="B"), "B": {"Type": "Succeed"}})
    before = history(states, arn)
    entered, failed = before[6], before[-1]
    assert (entered[0], failed[0]) == ("TaskStateEntered", "ExecutionFailed")
    open_gate(client, table)
    redriven(states, arn)
    after = history(states, arn)
    assert after[: len(before)] == before
    assert [number for _, number, _ in after] == list(range(1, len(after) + 1))
    first, second = after[len(before) : len(before) + 2]
    assert first == ("ExecutionRedriven", failed[1] + 1, failed[1])
    assert second == ("TaskScheduled", failed[1] + 2, entered[1])
    assert since_redrive(states, arn) == [
        "TaskScheduled", "TaskStarted", "TaskSucceeded", "TaskStateExited", "SucceedStateEntered",
        "SucceedStateExited", "ExecutionSucceeded",
    ]  # fmt: skip


def test_the_context_keeps_its_times_and_counts_retries_anew(
    start: Any, states: Any, table: str, aws: Resources
) -> None:
    """A queue hears what each try was told: the count of retries begins at 0 again, EnteredTime and StartTime stay."""
    queue = aws.queue()
    body = {"execution.$": "$$.Execution", "state.$": "$$.State"}
    tell = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sqs:sendMessage",
        "Parameters": {"QueueUrl": queue.url, "MessageBody": body},
        "ResultPath": None,
        "Next": "G",
    }
    retry = [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 1, "MaxAttempts": 1}]
    branch = {"StartAt": "T", "States": {"T": tell, "G": gate(table, End=True)}}
    redriven(states, start({"P": {"Type": "Parallel", "Branches": [branch], "End": True, "Retry": retry}}))
    heard = queue.bodies()
    assert len(heard) == 3  # twice at first, once more after the redrive: what succeeded last is taken
    redrives = sorted(one["execution"]["RedriveCount"] for one in heard)
    assert redrives == [0, 0, 1]
    last = next(one["execution"] for one in heard if one["execution"]["RedriveCount"] == 1)
    assert last["StartTime"] == heard[0]["execution"]["StartTime"] < last["RedriveTime"]
    assert "RedriveTime" not in heard[0]["execution"]


def test_a_parallel_in_a_loop_is_taken_turn_by_turn(start: Any, states: Any, client: Any, table: str) -> None:
    """The second turn fails: its branch that succeeded keeps its own output, not that of the first turn."""
    told = {"Type": "Pass", "Parameters": {"turn.$": "$.n"}, "End": True}
    locked = {
        "Type": "Choice",
        "Choices": [{"Variable": "$.n", "NumericLessThan": 2, "Next": "Open"}],
        "Default": "G",
    }
    second = {"C": locked, "Open": {"Type": "Pass", "End": True}, "G": gate(table, End=True)}
    both = [{"StartAt": "T", "States": {"T": told}}, {"StartAt": "C", "States": second}]
    turn = {"Type": "Parallel", "Branches": both, "ResultPath": "$.told", "Next": "Again"}
    again = {"Type": "Choice", "Choices": [{"Variable": "$.n", "NumericLessThan": 2, "Next": "Add"}], "Default": "E"}
    add = {"Type": "Pass", "Parameters": {"n.$": "States.MathAdd($.n, 1)"}, "Next": "P"}
    zero = {"Type": "Pass", "Result": {"n": 0}, "Next": "Add"}
    arn = start({"Zero": zero, "Add": add, "P": turn, "Again": again, "E": {"Type": "Succeed"}})
    assert closed(states, arn)["status"] == "FAILED"
    open_gate(client, table)
    told_at_end = redriven(states, arn)
    assert told_at_end["status"] == "SUCCEEDED"
    assert json.loads(told_at_end["output"])["told"][0] == {"turn": 2}


def test_a_map_goes_on_with_the_iteration_that_failed(start: Any, states: Any, client: Any, table: str) -> None:
    """The first iteration succeeded, the second failed, the third had not begun: it begins as usual."""
    locked = {"Type": "Choice", "Choices": [{"Variable": "$", "NumericEquals": 2, "Next": "G"}], "Default": "I"}
    steps = {"C": locked, "G": gate(table, Next="I"), "I": count(table, "i", End=True)}
    loop = {
        "Type": "Map",
        "ItemsPath": "$.items",
        "MaxConcurrency": 1,
        "ItemProcessor": {"StartAt": "C", "States": steps},
        "End": True,
    }
    arn = start({"S": {"Type": "Pass", "Result": {"items": [1, 2, 3]}, "Next": "L"}, "L": loop})
    assert counts(client, table) == {"i": 1}
    open_gate(client, table)
    told = redriven(states, arn)
    assert (told["status"], json.loads(told["output"])) == ("SUCCEEDED", [1, 2, 3])
    assert counts(client, table) == {"i": 3}
    types = since_redrive(states, arn)
    assert types[0] == "TaskScheduled"
    assert "MapStateStarted" not in types
    assert [types.count(f"MapIteration{what}") for what in ("Started", "Succeeded")] == [1, 2]


def test_a_result_that_was_too_large_runs_all_branches_again(start: Any, states: Any, client: Any, table: str) -> None:
    """AWS's exception: after States.DataLimitExceeded the branches that succeeded run again too."""
    large = {"Type": "Pass", "Parameters": {"text": "x" * 150_000}, "End": True}
    both = [{"StartAt": "A", "States": {"A": count(table, "a", Next="X"), "X": large}},
            {"StartAt": "Y", "States": {"Y": large}}]  # fmt: skip
    arn = start({"P": {"Type": "Parallel", "Branches": both, "End": True}})
    told = redriven(states, arn)
    assert (told["status"], told["error"]) == ("FAILED", "States.DataLimitExceeded")
    assert counts(client, table) == {"a": 2}


def test_what_was_stopped_goes_on_and_old_tokens_are_over(aws: Resources, states: Any) -> None:
    queue = aws.queue()
    ask = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
        "Parameters": {"QueueUrl": queue.url, "MessageBody": {"token.$": "$$.Task.Token"}},
        "End": True,
    }

    def token() -> str:
        return str(json.loads(queue.take()["Body"])["token"])

    arn = aws.start(aws.machine({"A": ask}))
    old = token()
    states.stop_execution(executionArn=arn, error="Stopped", cause="by hand")
    assert closed(states, arn)["redriveStatus"] == "REDRIVABLE"
    with pytest.raises(ClientError, match="TaskTimedOut"):
        states.send_task_success(taskToken=old, output="{}")
    states.redrive_execution(executionArn=arn)
    new = token()
    running = states.describe_execution(executionArn=arn)
    assert (running["status"], running["redriveStatus"]) == ("RUNNING", "NOT_REDRIVABLE")
    assert not {"stopDate", "error", "cause"} & set(running)
    for send in (states.send_task_heartbeat, states.send_task_failure):
        with pytest.raises(ClientError, match="TaskTimedOut"):
            send(taskToken=old)
    with pytest.raises(ClientError, match="InvalidToken"):
        states.send_task_success(taskToken="nobody's", output="{}")
    states.send_task_success(taskToken=new, output='{"answer": 1}')
    assert json.loads(closed(states, arn)["output"]) == {"answer": 1}


def test_a_nested_execution_is_started_anew(start: Any, machine: Any, states: Any, client: Any, table: str) -> None:
    """The task runs again and starts another execution; one of a fixed name is refused, as its name is taken."""
    child = machine({"G": gate(table, End=True)})
    call = {"Type": "Task", "Resource": "arn:aws:states:::states:startExecution.sync:2", "End": True}
    named = {"StateMachineArn": child, "Name.$": "States.Format('{}-{}', $$.Execution.Name, $$.Execution.RedriveCount)"}
    arn = start({"N": {**call, "Parameters": named}})
    fixed = start({"N": {**call, "Parameters": {"StateMachineArn": child, "Name": f"{table}-fixed"}}})
    open_gate(client, table)
    assert redriven(states, arn)["status"] == "SUCCEEDED"
    names = [each["name"] for each in states.list_executions(stateMachineArn=child)["executions"]]
    assert {f"{arn.rpartition(':')[2]}-{number}" for number in (0, 1)} < set(names)
    assert redriven(states, fixed)["error"] == "StepFunctions.ExecutionAlreadyExistsException"


def test_a_redrive_keeps_its_definition(machine: Any, states: Any, client: Any, table: str) -> None:
    """The machine is changed in between: the old execution goes on with the old definition, a new one takes the new."""
    said = {"Type": "Pass", "Parameters": {"revision": "old"}, "End": True}
    steps = {"G": gate(table, Next="S"), "S": said}
    made = machine(steps)
    arn = states.start_execution(stateMachineArn=made)["executionArn"]
    assert closed(states, arn)["status"] == "FAILED"
    changed = {**steps, "S": {**said, "Parameters": {"revision": "new"}}}
    states.update_state_machine(stateMachineArn=made, definition=json.dumps({"StartAt": "G", "States": changed}))
    open_gate(client, table)
    assert json.loads(redriven(states, arn)["output"]) == {"revision": "old"}
    own = states.describe_state_machine_for_execution(executionArn=arn)["definition"]
    assert json.loads(own)["States"]["S"]["Parameters"] == {"revision": "old"}
    assert "new" in states.describe_state_machine(stateMachineArn=made)["definition"]
    fresh = states.start_execution(stateMachineArn=made)["executionArn"]
    assert json.loads(closed(states, fresh)["output"]) == {"revision": "new"}


def test_a_call_that_comes_twice_redrives_once(start: Any, states: Any, client: Any, table: str) -> None:
    arn = start({"G": gate(table, End=True)})
    first = states.redrive_execution(executionArn=arn, clientToken="one")["redriveDate"]
    assert closed(states, arn)["status"] == "FAILED"
    assert states.redrive_execution(executionArn=arn, clientToken="one")["redriveDate"] == first
    assert closed(states, arn)["redriveCount"] == 1
    states.redrive_execution(executionArn=arn, clientToken="two")
    assert closed(states, arn)["redriveCount"] == 2


def test_what_succeeded_or_was_caught_cannot_be_redriven(start: Any, states: Any, table: str) -> None:
    caught = gate(table, Catch=[{"ErrorEquals": ["States.ALL"], "Next": "Z"}], End=True)
    arn = start({"G": caught, "Z": {"Type": "Succeed"}})
    reason = "Execution is SUCCEEDED and cannot be redriven"
    assert closed(states, arn)["redriveStatusReason"] == reason
    with pytest.raises(ClientError, match=f"ExecutionNotRedrivable.*Execution {arn} invalid for redrive as: {reason}"):
        states.redrive_execution(executionArn=arn)


def test_what_is_running_or_none_cannot_be_redriven(machine: Any, states: Any) -> None:
    arn = states.start_execution(stateMachineArn=machine({"W": {"Type": "Wait", "Seconds": 60, "End": True}}))
    with pytest.raises(ClientError, match="Execution is RUNNING and cannot be redriven"):
        states.redrive_execution(executionArn=arn["executionArn"])
    with pytest.raises(ClientError, match="ExecutionDoesNotExist"):
        states.redrive_execution(executionArn=f"{arn['executionArn']}-nobody")
    states.stop_execution(executionArn=arn["executionArn"])


def test_an_express_execution_cannot_be_redriven(start: Any, states: Any, table: str) -> None:
    arn = start({"G": gate(table, End=True)}, kind="EXPRESS")
    with pytest.raises(ClientError, match="InvalidArn"):
        states.redrive_execution(executionArn=arn)


def test_a_history_that_is_full_cannot_be_redriven(start: Any, states: Any, cloud: Any) -> None:
    arn = start({"F": {"Type": "Fail"}})
    events = executions(cloud)[arn].env.event_manager._history_event_list
    last = events[-1]
    events.extend(dict(last) for _ in range(24_998 - len(events)))
    assert closed(states, arn)["redriveStatus"] == "REDRIVABLE"
    events.append(dict(last))
    assert closed(states, arn)["redriveStatusReason"] == "Execution history event limit exceeded"


def test_after_fourteen_days_nothing_is_redriven(start: Any, states: Any, cloud: Any) -> None:
    """The last of the file: it moves the cloud's clock."""
    arn = start({"F": {"Type": "Fail"}})
    cloud.clock.move(cloud.clock.now() + timedelta(days=14) - timedelta(minutes=1))
    assert closed(states, arn)["redriveStatus"] == "REDRIVABLE"
    cloud.clock.move(cloud.clock.now() + timedelta(minutes=2))
    told = closed(states, arn)
    assert (told["redriveStatus"], told["redriveStatusReason"]) == (
        "NOT_REDRIVABLE",
        "Execution redrivable period exceeded",
    )
    with pytest.raises(ClientError, match="Execution redrivable period exceeded"):
        states.redrive_execution(executionArn=arn)
