"""A role is deployed without one statement: its step fails with AccessDenied, and goes well when it has it back.

One role of each kind: a function's, a machine's, a model's, a rule's, a schedule's. `test_permissions.py` does the same
for every statement of every role by deciding anew what was allowed. The last tests here are of what is refused for
another reason, and of what that asks of the roles."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest

from tests.end_to_end.callers import less_of
from tests.end_to_end.conftest import Lived, control


@contextmanager
def without(lived: Lived, owner: str, action: str) -> Iterator[str]:
    """In the block the role lacks the action; the value is the role's name."""
    iam, role = lived.cloud.client("iam"), lived.names.role(owner)
    policy = lived.policies[role]
    less = less_of(policy, action)
    if less["Statement"]:
        iam.put_role_policy(RoleName=role, PolicyName="statements", PolicyDocument=json.dumps(less))
    else:
        iam.delete_role_policy(RoleName=role, PolicyName="statements")
    try:
        yield role
    finally:
        iam.put_role_policy(RoleName=role, PolicyName="statements", PolicyDocument=json.dumps(policy))


def scored(lived: Lived, given: dict[str, Any]) -> dict[str, Any]:
    """What came of an execution of the machine `score` that a person starts with this input."""
    states = lived.cloud.client("stepfunctions")
    arn = states.start_execution(stateMachineArn=lived.names.machine_arn("score"), input=json.dumps(given))
    lived.rest()
    return dict(states.describe_execution(executionArn=arn["executionArn"]))


def week(lived: Lived) -> dict[str, Any]:
    """The input that names the drop of the fourteen months, which has good rows; the newest may be no table."""
    return {"detail": {"objects": [{"key": f"{lived.names.workload}/scoring/week.csv"}]}}


def failures(lived: Lived, arn: str) -> str:
    """The causes in the execution's history, as the console shows them."""
    events = lived.cloud.client("stepfunctions").get_execution_history(executionArn=arn)["events"]
    details = [event.get("taskFailedEventDetails") or event.get("executionFailedEventDetails") for event in events]
    return "\n".join(str(one["cause"]) for one in details if one)


def test_scoring_again_goes_well(lived: Lived) -> None:
    """The control: with every statement there, what the next tests start succeeds; so does the newest drop, unnamed."""
    assert scored(lived, week(lived))["status"] == "SUCCEEDED"
    assert scored(lived, {})["status"] == "SUCCEEDED"


@pytest.mark.parametrize(
    ("owner", "action"),
    [("delivery", "s3:PutObject"), ("scoring-machines", "lambda:InvokeFunction"), ("model", "s3:PutObject")],
    ids=["function", "machine", "model"],
)
def test_a_step_fails_without_its_statement(lived: Lived, owner: str, action: str) -> None:
    before = len(control(lived.cloud, "denials"))
    with without(lived, owner, action) as role:
        run = scored(lived, week(lived))
    assert run["status"] == "FAILED"
    assert "AccessDenied" in failures(lived, run["executionArn"])
    assert {(one["role"], one["action"]) for one in control(lived.cloud, "denials")[before:]} == {(role, action)}
    lived.cloud.client("stepfunctions").redrive_execution(executionArn=run["executionArn"])
    lived.rest()
    again = lived.cloud.client("stepfunctions").describe_execution(executionArn=run["executionArn"])
    assert (again["status"], again["redriveCount"]) == ("SUCCEEDED", 1)


def dead_letters(lived: Lived, queue: str) -> list[dict[str, Any]]:
    """What lies in a dead-letter queue, taken out of it."""
    sqs = lived.cloud.client("sqs")
    owner = lived.names.platform if queue == "events" else lived.names
    url = sqs.get_queue_url(QueueName=owner.queue(f"{queue}-dead"))["QueueUrl"]
    found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]).get("Messages", [])
    for message in found:
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return list(found)


def why(message: dict[str, Any]) -> tuple[str, bool]:
    """The error's code, and whether the message names the action that was refused."""
    said = {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}
    return said["ERROR_CODE"], "states:StartExecution" in said["ERROR_MESSAGE"]


def test_a_rule_starts_nothing_without_its_statement(lived: Lived) -> None:
    """The event is not lost: it lies in the rule's dead-letter queue with the reason."""
    events = lived.cloud.client("events")
    entry = {
        "EventBusName": lived.names.platform.bus,
        "Source": "millrace",
        "DetailType": "retrain.requested",
        "Detail": json.dumps({"workload": lived.names.workload, "reason": "test"}),
    }
    dead_letters(lived, "events")
    with without(lived, "training-machines", "states:StartExecution"):
        event_id = events.put_events(Entries=[entry])["Entries"][0]["EventId"]
        lived.rest()
    (message,) = dead_letters(lived, "events")
    assert json.loads(message["Body"])["id"] == event_id
    assert why(message) == ("NO_PERMISSIONS", True)


def test_a_schedule_starts_nothing_without_its_statement(lived: Lived) -> None:
    runs = runs_of_monitor(lived)
    dead_letters(lived, "events")
    with without(lived, "monitoring-machines", "states:StartExecution"):
        lived.cloud.move_clock(lived.cloud.now() + timedelta(days=16))
        lived.rest()
    refused = dead_letters(lived, "events")
    assert refused
    assert {why(message) for message in refused} == {("NO_PERMISSIONS", True)}
    assert runs_of_monitor(lived) == runs


def runs_of_monitor(lived: Lived) -> int:
    arn = lived.names.machine_arn("monitor")
    return len(lived.cloud.client("stepfunctions").list_executions(stateMachineArn=arn, maxResults=1000)["executions"])


def test_no_drop_lands_among_the_dead_letters(lived: Lived) -> None:
    sqs = lived.cloud.client("sqs")
    dead_letters(lived, "drops")
    sqs.send_message(QueueUrl=sqs.get_queue_url(QueueName=lived.names.queue("drops"))["QueueUrl"], MessageBody="{}")
    lived.rest()
    (message,) = dead_letters(lived, "drops")
    assert message["Body"] == "{}"
    assert "reason" in message["MessageAttributes"]


def test_events_that_fail_thrice_land_among_the_dead_letters(lived: Lived) -> None:
    """Of each function that is called asynchronously."""
    dead_letters(lived, "events")
    for function in ("cleanup", "tracking"):
        payload = json.dumps({"test": function})
        lived.cloud.client("lambda").invoke(
            FunctionName=lived.names.function(function), InvocationType="Event", Payload=payload
        )
    lived.rest()
    found = [json.loads(message["Body"])["test"] for message in dead_letters(lived, "events")]
    assert sorted(found) == ["cleanup", "tracking"]


@pytest.mark.parametrize("feed", ["training", "labels"])
def test_a_file_that_is_none_is_kept_for_each_feed(lived: Lived, feed: str) -> None:
    uri = lived.put(feed, f"none-{feed}.parquet", b"\x89PNG\r\n\x1a\n")
    lived.rest()
    events = [event["detail"] for event in lived.witness.told("drop.rejected")]
    assert [event["reason"] for event in events if event["source"] == uri] == ["foreign"]


@pytest.mark.parametrize("feed", ["training", "scoring"])
def test_a_drop_whose_event_comes_twice_is_known(lived: Lived, feed: str) -> None:
    """Whichever machine it started: intake asks what has become of its execution."""
    uri = lived.put(feed, f"twice-{feed}.parquet", b"\x89PNG")
    lived.rest()
    lived.witness.look()
    version = uri.rpartition("=")[2]
    (body,) = [body for body in lived.witness.bodies if version in body and "Object Created" in body]
    sqs = lived.cloud.client("sqs")
    sqs.send_message(QueueUrl=sqs.get_queue_url(QueueName=lived.names.queue("drops"))["QueueUrl"], MessageBody=body)
    lived.rest()
    log = lived.build / "local" / "logs" / "functions" / f"{lived.names.function('intake')}.log"
    said = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    told = [(line["execution"], line["message"]) for line in said if "execution" in line]
    assert [message for execution, message in told if execution == told[-1][0]] == ["started", "known"]
