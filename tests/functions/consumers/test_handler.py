"""The function of a consumer, driven by a real SQS event: taken, or hidden for longer with every try."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest

from millrace.settings.environment import Environment
from millrace.state.automation import Automation
from millrace.state.table import StateTable
from millrace.timestamps import parse_utc
from tests.consumers import with_consumers
from tests.functions.cold_start import NAMES, set_variables
from tests.functions.conftest import Aws

EVENT = Path(__file__).resolve().parents[3] / "events" / "consumers_queue.json"
OWN = NAMES.queue("consumer-orders")
Consume = Callable[[dict[str, Any]], dict[str, Any]]


ORDERS = {"to": "queue", "queue": "order-decisions", "actions": ["automated", "review"]}


@pytest.fixture
def consume(aws: Aws, load: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Consume:
    """The handler as Lambda calls it for the consumer `orders`, whose target nobody has made."""
    folder = with_consumers(tmp_path, {"orders": ORDERS})
    declared = folder / "workload.yaml"
    declared.write_text(f"{declared.read_text()}\npolicy: {{review_above: {{column: nswdemand, bound: 0.5}}}}\n")
    monkeypatch.setattr(Environment, "folder", folder)
    url = aws.sqs.create_queue(QueueName=OWN)["QueueUrl"]
    set_variables(monkeypatch, MILLRACE_CONSUMER="orders", MILLRACE_QUEUE_URL=url, MILLRACE_TRIES="20")
    handler: Consume = load("consumers")
    return handler


@pytest.fixture
def target(aws: Aws) -> Callable[[], list[dict[str, Any]]]:
    """`target()`: what the target has taken."""
    url = aws.sqs.create_queue(QueueName="order-decisions")["QueueUrl"]
    return lambda: [json.loads(one["Body"]) for one in aws.sqs.receive_message(QueueUrl=url).get("Messages", [])]


def received() -> dict[str, Any]:
    """The event with a message as the queue has it."""
    sqs, event = boto3.client("sqs"), json.loads(EVENT.read_text())
    url = sqs.get_queue_url(QueueName=OWN)["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody=event["Records"][0]["body"])
    (message,) = sqs.receive_message(QueueUrl=url, VisibilityTimeout=1800)["Messages"]
    event["Records"][0] |= {"messageId": message["MessageId"], "receiptHandle": message["ReceiptHandle"]}
    return event


@pytest.mark.parametrize(("tries", "wait_s"), [(1, 2), (11, 2048), (12, 3600)])
def test_what_it_does_not_take_waits_longer_each_time(consume: Consume, tries: int, wait_s: int) -> None:
    event = received()
    event["Records"][0]["attributes"]["ApproximateReceiveCount"] = str(tries)
    hidden: list[int] = []
    client = sys.modules["millrace.functions.consumers.handler"].SQS
    client.meta.events.register(
        "provide-client-params.sqs.ChangeMessageVisibility",
        lambda params, **_: hidden.append(params["VisibilityTimeout"]),
    )
    assert consume(event) == {"batchItemFailures": [{"itemIdentifier": event["Records"][0]["messageId"]}]}
    assert hidden == [wait_s]


@pytest.mark.parametrize(
    ("paused", "action"), [(None, "automated"), (False, "automated"), (True, "review"), (True, "answered")]
)
def test_what_the_target_takes_is_done(consume: Consume, target: Any, paused: bool | None, action: str) -> None:
    """Also after a pause; and in a pause what people decide, or have decided."""
    if paused is not None:
        pause(paused)
    event = received()
    event["Records"][0]["body"] = event["Records"][0]["body"].replace('"automated"', f'"{action}"')
    assert consume(event) == {"batchItemFailures": []}
    assert [(one["id"], one["action"]) for one in target()] == [("8f507cfc-0", action)]


def pause(paused: bool = True) -> None:
    switch = Automation(is_paused=paused, by="ann", since=parse_utc("1997-06-01T06:00:00Z"))
    switch.put(StateTable(boto3.client("dynamodb"), NAMES))


@pytest.mark.parametrize(("held", "delay_s"), [(0, 10), (6, 640), (7, 900), (5000, 900)])
def test_in_a_pause_what_acts_waits_and_costs_no_try(consume: Consume, target: Any, held: int, delay_s: int) -> None:
    """So it does where nobody can read the switch."""
    if held == 6:
        boto3.client("dynamodb").delete_table(TableName=NAMES.platform.state_table)
    else:
        pause()
    event, sent = received(), []
    if held:
        event["Records"][0]["messageAttributes"] = {"held": {"stringValue": str(held), "dataType": "Number"}}
    handler = sys.modules["millrace.functions.consumers.handler"]
    handler.SQS.meta.events.register("provide-client-params.sqs.SendMessage", lambda params, **_: sent.append(params))
    assert consume(event) == {"batchItemFailures": []}, "it is done, and one like it waits"
    (waits,) = sent
    assert (waits["DelaySeconds"], waits["MessageBody"]) == (delay_s, event["Records"][0]["body"])
    assert waits["MessageAttributes"]["held"]["StringValue"] == str(held + 1)
    assert target() == []
