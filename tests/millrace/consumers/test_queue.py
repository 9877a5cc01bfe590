"""A queue gets one message for each decision, and a refused one fails the act."""

from __future__ import annotations

import json
from typing import Any

import pytest

from millrace.consumers.queue import Queue
from millrace.errors import ConsumerError
from millrace.names import Platform

PLATFORM = Platform(stage="dev", account="123456789012", region="eu-west-1")


class Sqs:
    """SQS as far as it is called: it refuses the last message of each call if `refuses`."""

    def __init__(self, *, refuses: bool = False) -> None:
        self.refuses, self.entries, self.urls = refuses, [], set()

    def send_message_batch(self, *, QueueUrl: str, Entries: list[dict[str, str]]) -> dict[str, Any]:
        assert len(Entries) <= 10
        self.urls.add(QueueUrl)
        self.entries += Entries
        return {"Failed": [{"Id": Entries[-1]["Id"], "Code": "InternalError"}]} if self.refuses else {}


DOCUMENTS = [{"id": f"r-{number}"} for number in range(25)]


def acted(queue: str, sqs: Sqs) -> None:
    Queue(to="queue", queue=queue).connect(lambda _: sqs, PLATFORM)(DOCUMENTS)


def test_each_decision_is_a_message() -> None:
    sqs = Sqs()
    acted("orders", sqs)
    assert [json.loads(one["MessageBody"]) for one in sqs.entries] == DOCUMENTS
    assert sqs.urls == {"https://sqs.eu-west-1.amazonaws.com/123456789012/orders"}
    assert "MessageDeduplicationId" not in sqs.entries[0]


def test_a_queue_of_another_account_that_drops_repetitions() -> None:
    sqs = Sqs()
    acted("arn:aws:sqs:eu-west-1:210987654321:orders.fifo", sqs)
    assert sqs.urls == {"https://sqs.eu-west-1.amazonaws.com/210987654321/orders.fifo"}
    assert len({one["MessageDeduplicationId"] for one in sqs.entries}) == len(DOCUMENTS)


def test_a_refused_message_fails_all() -> None:
    with pytest.raises(ConsumerError, match="1 of 10 refused: InternalError"):
        acted("orders", Sqs(refuses=True))
