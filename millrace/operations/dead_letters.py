"""The queues whose dead letters wait for a person."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class DeadLetters:
    """What the queue `<name>-dead` holds."""

    holds: str
    reader: str
    """The function that reads the queue `<name>`, to which dead letters go back."""


DEAD_LETTERS: dict[str, DeadLetters] = {
    "drops": DeadLetters(holds="drops that started no run, and messages that are no drop", reader="intake"),
    "decisions": DeadLetters(holds="decisions that were not written to the lake", reader="decisions"),
}
"""Of each workload, by the queue's name, as `WorkloadNames.queue` takes it."""
EVENTS = "events"
"""The stage's own: `Platform.queue` of `dead(EVENTS)`. One for all workloads, since CloudWatch bills an alarm by the
queues that it reads; its letters name the rule, the schedule, the function or the execution."""
EVENTS_HOLD = (
    "events of all workloads that did not reach the bus, a machine, a function, the topic of alarms or the chat"
)


def dead(name: str) -> str:
    """The name of the queue that holds the dead letters of `name`."""
    return f"{name}-dead"
