"""The function of a consumer, driven by a real SQS event: taken, or hidden for longer with every try."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from millrace.state.automation import Automation
from millrace.state.table import StateTable
from millrace.timestamps import parse_utc
from tests.consumers import with_consumers
from tests.functions.cold_start import NAMES, cold_starts, set_variables
from tests.state_table import create_table

EVENT = Path(__file__).resolve().parents[3] / "events" / "consumers_queue.json"
OWN = NAMES.queue("consumer-orders")
Consume = Callable[[dict[str, Any]], dict[str, Any]]


ORDERS = {"to": "queue", "queue": "order-decisions", "actions": ["automated", "review"]}


@pytest.fixture
def consume(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Consume]:
    """The handler as Lambda calls it for the consumer `orders`, whose target nobody has made."""
    from millrace.settings.environment import Environment

    folder = with_consumers(tmp_path, {"orders": ORDERS})
    declared = folder / "workload.yaml"
    declared.write_text(f"{declared.read_text()}\npolicy: {{review_above: {{column: nswdemand, bound: 0.5}}}}\n")
    monkeypatch.setattr(Environment, "folder", folder)
    url = f"https://sqs.eu-west-1.amazonaws.com/123456789012/{OWN}"
    set_variables(monkeypatch, MILLRACE_CONSUMER="orders", MILLRACE_QUEUE_URL=url)
    with mock_aws(), cold_starts() as start:
        boto3.client("sqs").create_queue(QueueName=OWN)
        create_table(boto3.client("dynamodb"), NAMES.platform.state_table)
        yield start("consumers")


def received() -> dict[str, Any]:
    """The event with a message as the queue has it."""
    sqs, event = boto3.client("sqs"), json.loads(EVENT.read_text())
    url = sqs.get_queue_url(QueueName=OWN)["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody=event["Records"][0]["body"])
    (message,) = sqs.receive_message(QueueUrl=url, VisibilityTimeout=1800)["Messages"]
    event["Records"][0] |= {"messageId": message["MessageId"], "receiptHandle": message["ReceiptHandle"]}
    return event


def test_what_the_target_takes_is_done(consume: Consume) -> None:
    sqs = boto3.client("sqs")
    url = sqs.create_queue(QueueName="order-decisions")["QueueUrl"]
    assert consume(received()) == {"batchItemFailures": []}
    (message,) = sqs.receive_message(QueueUrl=url)["Messages"]
    assert json.loads(message["Body"])["id"] == "8f507cfc-0"


@pytest.mark.parametrize(("tries", "wait_s"), [(1, 2), (3, 8), (11, 2048), (12, 3600), (19, 3600)])
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


def pause(paused: bool = True) -> None:
    switch = Automation(is_paused=paused, by="ann", since=parse_utc("1997-06-01T06:00:00Z"))
    switch.put(StateTable(boto3.client("dynamodb"), NAMES))


@pytest.mark.parametrize(("held", "delay_s"), [(0, 10), (1, 20), (6, 640), (7, 900), (5000, 900)])
def test_in_a_pause_what_acts_waits_and_costs_no_try(consume: Consume, held: int, delay_s: int) -> None:
    sqs = boto3.client("sqs")
    target = sqs.create_queue(QueueName="order-decisions")["QueueUrl"]
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
    assert "Messages" not in sqs.receive_message(QueueUrl=target)


def test_after_a_pause_it_goes_on(consume: Consume) -> None:
    sqs = boto3.client("sqs")
    target = sqs.create_queue(QueueName="order-decisions")["QueueUrl"]
    pause(paused=False)
    assert consume(received()) == {"batchItemFailures": []}
    assert len(sqs.receive_message(QueueUrl=target)["Messages"]) == 1


def test_in_a_pause_what_a_person_decides_goes_on(consume: Consume) -> None:
    """A desk that gets reviews gets those of the pause, which are all."""
    sqs = boto3.client("sqs")
    target = sqs.create_queue(QueueName="order-decisions")["QueueUrl"]
    pause()
    event = received()
    event["Records"][0]["body"] = event["Records"][0]["body"].replace('"automated"', '"review"')
    assert consume(event) == {"batchItemFailures": []}
    (message,) = sqs.receive_message(QueueUrl=target)["Messages"]
    assert json.loads(message["Body"])["action"] == "review"


def test_whoever_cannot_read_the_switch_waits(consume: Consume) -> None:
    sqs = boto3.client("sqs")
    target = sqs.create_queue(QueueName="order-decisions")["QueueUrl"]
    boto3.client("dynamodb").delete_table(TableName=NAMES.platform.state_table)
    assert consume(received()) == {"batchItemFailures": []}
    assert "Messages" not in sqs.receive_message(QueueUrl=target)
