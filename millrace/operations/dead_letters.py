"""The dead-letter queues. Their messages wait for a person."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class DeadLetters:
    """One dead-letter queue, `<name>-dead`."""

    holds: str
    """What its messages are, for people."""
    reader: str
    """The function that reads the queue `<name>`. A redrive sends dead letters back to that queue."""


DEAD_LETTERS: dict[str, DeadLetters] = {
    "drops": DeadLetters(holds="drops that started no run, and messages that are no drop", reader="intake"),
    "decisions": DeadLetters(holds="decisions that were not written to the lake", reader="decisions"),
}
"""The dead-letter queues of each workload, by the name of their queue as `WorkloadNames.queue` takes it."""
ROWS_HOLD = "records of the stream that are no row of the contract, and events about records that the function gave up"
JOBS_HOLD = "jobs that nobody could answer"
CONSUMERS_HOLD = "decisions that the consumer has not taken"
"""What the dead letters of each consumer are. Its queue is `consumer-<name>`, and so is its function."""
EVENTS = "events"
"""The stage's own dead-letter queue is `Platform.queue(dead(EVENTS))`: `millrace-dev-events-dead`.

It is one for all workloads, since CloudWatch bills an alarm by the queues that it reads. Each message in it names the
rule, the schedule, the function or the execution."""
EVENTS_HOLD = (
    "events of all workloads that did not reach the bus, a machine, a function, the topic of alarms or the chat, "
    "or that the bus could not encrypt or decrypt"
)


def dead(name: str) -> str:
    """The name of the queue that holds the dead letters of `name`."""
    return f"{name}-dead"
