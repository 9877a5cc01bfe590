"""Decisions wait for their consumers in messages of a bounded size, and none is left out."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from millrace.aws.queues import MESSAGE_BYTES
from millrace.consumers.targets import Queue
from millrace.decisions.portion import MOST, bodies, document, send
from millrace.names import Platform, WorkloadNames
from tests.millrace.decisions.test_record import DECISION


def read(body: str) -> list[Any]:
    found: list[Any] = json.loads(body)["decisions"]
    return found


NAMES = WorkloadNames(
    platform=Platform(stage="dev", account="123456789012", region="eu-west-1"), workload="electricity"
)


class Sqs:
    def __init__(self) -> None:
        self.bodies: dict[str, list[str]] = {}

    def send_message_batch(self, *, QueueUrl: str, Entries: list[dict[str, str]]) -> dict[str, Any]:
        self.bodies.setdefault(QueueUrl.rpartition("/")[2], []).extend(one["MessageBody"] for one in Entries)
        return {}


def test_a_message_keeps_both_limits_and_the_order() -> None:
    for text in ("x", "x" * 5000, "x" * (MESSAGE_BYTES - 100)):
        documents = [{"id": f"r-{number}", "text": text} for number in range(250)]
        packed = list(bodies(documents[: 3 if len(text) > 5000 else 250]))
        assert all(len(body) <= MESSAGE_BYTES + len('{"decisions":[]}') for body in packed)
        assert all(len(read(body)) <= MOST for body in packed)
        assert [one for body in packed for one in read(body)] == documents[: 3 if len(text) > 5000 else 250]


def test_what_must_influence_nobody_is_not_told() -> None:
    told = document(DECISION)
    assert (told["id"], told["answer"], told["key"]) == (DECISION.id, DECISION.output, DECISION.key)
    hidden = document(replace(DECISION, action="review", reason="held_out"))
    assert hidden["answer"] == {"value": None, "probability": None, "confidence": None}


def test_each_consumer_gets_the_actions_that_it_wants() -> None:
    consumers = {
        "orders": Queue(to="queue", queue="orders"),
        "desk": Queue(to="queue", queue="desk", actions=("review", "fallback")),
        "idle": Queue(to="queue", queue="idle", actions=("fallback",)),
    }
    decided = [replace(DECISION, id=f"r-{number}") for number in range(5)]
    decided[1] = replace(decided[1], action="review", reason="unsure")
    sqs = Sqs()
    send(sqs, NAMES, consumers, decided)
    found = {queue: [one["id"] for body in each for one in read(body)] for queue, each in sqs.bodies.items()}
    assert found == {
        "millrace-dev-electricity-consumer-orders": ["r-0", "r-2", "r-3", "r-4"],
        "millrace-dev-electricity-consumer-desk": ["r-1"],
    }
