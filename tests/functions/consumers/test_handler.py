"""The function of a consumer, driven by a real SQS event: taken, or hidden for longer with every try."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from tests.consumers import with_consumers
from tests.functions.cold_start import NAMES, cold_starts, set_variables

EVENT = Path(__file__).resolve().parents[3] / "events" / "consumers_queue.json"
OWN = NAMES.queue("consumer-orders")
Consume = Callable[[dict[str, Any]], dict[str, Any]]


@pytest.fixture
def consume(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Consume]:
    """The handler as Lambda calls it for the consumer `orders`, whose target nobody has made."""
    from millrace.settings.environment import Environment

    folder = with_consumers(tmp_path, {"orders": {"to": "queue", "queue": "order-decisions"}})
    monkeypatch.setattr(Environment, "folder", folder)
    url = f"https://sqs.eu-west-1.amazonaws.com/123456789012/{OWN}"
    set_variables(monkeypatch, MILLRACE_CONSUMER="orders", MILLRACE_QUEUE_URL=url)
    with mock_aws(), cold_starts() as start:
        boto3.client("sqs").create_queue(QueueName=OWN)
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
    import sys

    client = sys.modules["functions.consumers.handler"].SQS
    client.meta.events.register(
        "provide-client-params.sqs.ChangeMessageVisibility",
        lambda params, **_: hidden.append(params["VisibilityTimeout"]),
    )
    assert consume(event) == {"batchItemFailures": [{"itemIdentifier": event["Records"][0]["messageId"]}]}
    assert hidden == [wait_s]
