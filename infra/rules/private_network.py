"""Every container of ours runs in the VPC: in two subnets, with a security group of ours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from infra.rules.assembly import Stack, given, listed, tasks
from infra.rules.finding import Finding

TASKS = {
    "createTrainingJob": ("VpcConfig",),
    "createProcessingJob": ("NetworkConfig", "VpcConfig"),
    "createModel": ("VpcConfig",),
}
SUBNETS = 2
"""For two zones: where one has no capacity, SageMaker uses the other. Which zones they are in is not looked at."""


def check(stacks: Sequence[Stack]) -> Iterator[Finding]:
    """A finding for each job and model outside of the VPC or in one subnet only."""
    for task in tasks(stacks, *TASKS):
        vpc = given(task.parameters, *TASKS[task.action])
        groups, subnets = given(vpc, "SecurityGroupIds"), given(vpc, "Subnets")
        if not groups:
            yield Finding(where=task.where, expected="a security group in VpcConfig", came=groups)
        if len({str(one) for one in listed(subnets or [])}) < SUBNETS:
            yield Finding(where=task.where, expected=f"{SUBNETS} subnets in VpcConfig", came=subnets)
