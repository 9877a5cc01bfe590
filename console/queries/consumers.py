"""The deployed consumers of a workload: what waits for them, and what they have not taken."""

from __future__ import annotations

from dataclasses import dataclass

from console.columns import column
from console.environment import Environment
from console.queries.dead_letters import consumer_queues
from console.queries.waiting import queue_length
from millrace.consumers.catalogue import queue_of
from millrace.names import WorkloadNames
from millrace.operations.dead_letters import dead


@dataclass(frozen=True, kw_only=True)
class ConsumerQueue:
    """What one consumer has not acted on. SQS counts messages with a delay of a minute.

    A message has a hundred decisions, or refers to two thousand rows of a file, at most."""

    consumer: str = column()
    waiting: int = column()
    """Messages that will be tried, for the first time or again."""
    dead: int = column()
    """Messages that were refused too often."""


def find_consumers(environment: Environment, names: WorkloadNames) -> tuple[ConsumerQueue, ...]:
    """Every consumer that is deployed, in the order of their names."""
    sqs = environment.client("sqs")

    def length(queue: str) -> int:
        return queue_length(sqs, sqs.get_queue_url(QueueName=names.queue(queue))["QueueUrl"])

    return tuple(
        ConsumerQueue(consumer=queue.removeprefix(queue_of("")), waiting=length(queue), dead=length(dead(queue)))
        for queue in consumer_queues(sqs, names)
    )
