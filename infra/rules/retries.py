"""Every task is tried again when its service stumbles, and nothing that waits for a person waits for ever."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from infra.rules.assembly import Stack, machines
from infra.rules.finding import Finding


def check(stacks: Sequence[Stack]) -> Iterator[Finding]:
    """A finding for each task without Retry, and for each task token without a time limit."""
    for machine in machines(stacks):
        for task in machine.tasks():
            if not task.state.get("Retry"):
                yield Finding(where=task.where, expected="Retry", came=None)
            waits = task.state["Resource"].endswith(".waitForTaskToken")
            if waits and not {"TimeoutSeconds", "TimeoutSecondsPath", "HeartbeatSeconds"} & task.state.keys():
                yield Finding(where=task.where, expected="TimeoutSeconds with waitForTaskToken", came=None)
