"""The consumers are those that are deployed, whatever is declared now, and their dead letters can go back."""

from __future__ import annotations

from collections.abc import Iterator

import boto3
import pytest
from moto import mock_aws

from console.environment import Environment
from console.queries.consumers import ConsumerQueue, find_consumers
from console.queries.dead_letters import read_dead_letters, redrive
from millrace.errors import EnvironmentNotFoundError
from tests.functions.cold_start import NAMES, set_variables


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[Environment]:
    set_variables(monkeypatch)
    with mock_aws():
        yield Environment(platform=NAMES.platform, client=boto3.client)


def queue(name: str, messages: int = 0) -> str:
    sqs = boto3.client("sqs")
    url: str = sqs.create_queue(QueueName=name)["QueueUrl"]
    for number in range(messages):
        sqs.send_message(QueueUrl=url, MessageBody=f"{number}")
    return url


def test_each_has_what_waits_and_what_is_dead(environment: Environment) -> None:
    assert find_consumers(environment, NAMES) == ()
    for name, waiting, dead in (("crm", 2, 1), ("desk", 0, 0)):
        queue(NAMES.queue(f"consumer-{name}"), waiting)
        queue(NAMES.queue(f"consumer-{name}-dead"), dead)
    queue(f"{NAMES.queue('drops')}")
    assert find_consumers(environment, NAMES) == (
        ConsumerQueue(consumer="crm", waiting=2, dead=1),
        ConsumerQueue(consumer="desk", waiting=0, dead=0),
    )


def test_only_a_deployed_consumer_has_dead_letters(environment: Environment) -> None:
    for name in ("drops", "decisions"):
        queue(NAMES.queue(f"{name}-dead"))
    queue(NAMES.platform.queue("events-dead"))
    queue(NAMES.queue("consumer-crm"))
    queue(NAMES.queue("consumer-crm-dead"), 1)
    (letter,) = read_dead_letters(environment, NAMES, "consumer-crm")
    assert letter.body == "0"
    with pytest.raises(EnvironmentNotFoundError, match="consumer-crm, events"):
        redrive(environment, NAMES, "consumer-desk")
