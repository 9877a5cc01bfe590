"""Traffic between the containers of one job is encrypted; a job of one instance has none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from infra.rules.assembly import Stack, given, tasks
from infra.rules.finding import Finding

SWITCH = "EnableInterContainerTrafficEncryption"
TASKS = {
    "createTrainingJob": (("ResourceConfig", "InstanceCount"), (SWITCH,)),
    "createProcessingJob": (("ProcessingResources", "ClusterConfig", "InstanceCount"), ("NetworkConfig", SWITCH)),
}
"""Where the instances are counted and where the switch is."""


def check(stacks: Sequence[Stack]) -> Iterator[Finding]:
    """A finding for each job on two or more instances, or on a number known at run time only, in the clear."""
    for task in tasks(stacks, *TASKS):
        counted, switch = TASKS[task.action]
        count, encrypted = given(task.parameters, *counted), given(task.parameters, *switch)
        if count != 1 and encrypted is not True:
            yield Finding(where=task.where, expected=f"{SWITCH} true with {count} instances", came=encrypted)
