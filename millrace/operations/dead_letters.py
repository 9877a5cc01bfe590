"""The queues of a workload whose dead letters wait for a person."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class DeadLetters:
    """What the queue `<name>-dead` holds."""

    holds: str
    reader: str = ""
    """The function that reads the queue `<name>`, to which dead letters go back; empty where nothing reads it: what
    EventBridge or Lambda could not deliver would be lost there."""


DEAD_LETTERS: dict[str, DeadLetters] = {
    "drops": DeadLetters(holds="drops that started no run, and messages that are no drop", reader="intake"),
    "decisions": DeadLetters(holds="decisions that were not written to the lake", reader="decisions"),
    "training-events": DeadLetters(holds="events that did not reach train, retrain, cleanup or tracking"),
    "release-events": DeadLetters(holds="versions whose registration did not start release"),
    "monitor": DeadLetters(holds="due times at which monitor did not start"),
}
"""By the queue's name, as `WorkloadNames.queue` takes it."""


def dead(name: str) -> str:
    """The name of the queue that holds the dead letters of `name`."""
    return f"{name}-dead"
