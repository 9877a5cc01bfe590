"""An event that the bus does not take does not fail what it tells of: it waits with the dead letters."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from millrace.infra.context import Context
from millrace.infra.machines import states
from millrace.infra.machines.states import State
from millrace.messages.events import DropRejected, ReleaseUntidy
from tests.infra.machines.contexts import context_of
from tests.localcloud.resources import make_role
from tests.localcloud.waiting import until

EVENTS = (ReleaseUntidy, DropRejected)
ERROR = "EventBridge.AmazonEventBridgeException"


@pytest.fixture
def client(cloud: Any) -> Any:
    return cloud.client


@pytest.fixture
def stage(client: Any) -> Iterator[Context]:
    """Its queue of dead letters and its bus, but nothing else."""
    context = context_of("local")
    client("events").create_event_bus(Name=context.platform.bus)
    queue = client("sqs").create_queue(QueueName=context.dead_events_arn.rpartition(":")[2])["QueueUrl"]
    yield context
    client("sqs").delete_queue(QueueUrl=queue)
    client("events").delete_event_bus(Name=context.platform.bus)


def run(client: Any, context: Context, steps: dict[str, State], given: Any, *, allowed: str) -> Any:
    """The execution of these states when it has ended; of the machine's statements its role has those that allow the
    action."""
    iam, machines, name = client("iam"), client("stepfunctions"), f"kept-{uuid.uuid4()}"
    own = [one.document() for one in states.put_event_statements(context, *EVENTS) if allowed in one.actions]
    role = make_role(iam, name, "states", *own)
    definition = {"StartAt": next(iter(steps)), "States": {**steps, "Live": {"Type": "Succeed"}}}
    made = machines.create_state_machine(name=name, definition=json.dumps(definition), roleArn=role)
    arn = machines.start_execution(stateMachineArn=made["stateMachineArn"], input=json.dumps(given))["executionArn"]
    until(lambda: machines.describe_execution(executionArn=arn)["status"] != "RUNNING")
    return machines.describe_execution(executionArn=arn)


def letters(client: Any, context: Context) -> list[Any]:
    asked = {"QueueUrl": context.dead_events_url, "MaxNumberOfMessages": 10, "MessageAttributeNames": ["All"]}
    return list(client("sqs").receive_message(**asked).get("Messages", []))


def without_waits(steps: dict[str, State]) -> dict[str, State]:
    """Without the retries, whose waits are real seconds here."""
    return {name: {key: value for key, value in step.items() if key != "Retry"} for name, step in steps.items()}


def notice(context: Context) -> dict[str, State]:
    steps = states.put_event(
        context, "Tell", event=ReleaseUntidy, detail={"error": "E"}, comment="Tell", next_state="Live"
    )
    return without_waits(steps)


def test_the_execution_ends_as_what_happened_and_the_event_is_a_letter(client: Any, stage: Context) -> None:
    ended = run(client, stage, notice(stage), {"cause": "c"}, allowed="sqs:SendMessage")
    assert ended["status"] == "SUCCEEDED", ended
    assert json.loads(ended["output"])["not_put"]["Error"] == ERROR
    (letter,) = letters(client, stage)
    detail = {"workload": "electricity", "run": ended["executionArn"], "cause": "c", "error": "E"}
    assert json.loads(letter["Body"]) == {"source": "millrace", "detail-type": "release.untidy", "detail": detail}
    assert letter["MessageAttributes"]["ERROR_CODE"]["StringValue"] == ERROR


def test_without_the_queue_either_it_fails_so_that_somebody_hears_of_it(client: Any, stage: Context) -> None:
    ended = run(client, stage, notice(stage), {"cause": "c"}, allowed="nothing")
    assert (ended["status"], ended["error"].partition(".")[0]) == ("FAILED", "SQS"), ended


def test_an_event_that_is_taken_leaves_no_letter(client: Any, stage: Context) -> None:
    ended = run(client, stage, notice(stage), {"cause": "c"}, allowed="events:PutEvents")
    assert ended["status"] == "SUCCEEDED", ended
    assert "not_put" not in json.loads(ended["output"])
    assert letters(client, stage) == []


def test_of_several_each_is_a_letter(client: Any, stage: Context) -> None:
    fields = sorted(set(DropRejected.model_fields) - {"workload", "run", "cause"})
    steps = states.put_events(stage, "Tell", event=DropRejected, items="$.drops", comment="Tell", next_state="Live")
    processor = steps["Tell"]["ItemProcessor"]
    processor["States"] = without_waits(processor["States"])
    drops = [dict.fromkeys(fields, one) for one in ("a", "b")]
    given = {"cause": "c", "drops": drops}
    ended = run(client, stage, steps, given, allowed="sqs:SendMessage")
    assert ended["status"] == "SUCCEEDED", ended
    assert len(json.loads(ended["output"])["events"]) == 2
    kept = [json.loads(letter["Body"])["detail"][fields[0]] for letter in letters(client, stage)]
    assert sorted(kept) == ["a", "b"]
