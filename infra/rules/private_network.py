"""Rule: every container runs in the VPC, in two subnets and with a security group."""

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
"""Two subnets for two zones: if one zone has no capacity, SageMaker uses the other. The zones are not checked."""


def check(stacks: Sequence[Stack]) -> Iterator[Finding]:
    """A finding for each job and model that is outside of the VPC or in only one subnet."""
    for task in tasks(stacks, *TASKS):
        vpc = given(task.parameters, *TASKS[task.action])
        groups, subnets = given(vpc, "SecurityGroupIds"), given(vpc, "Subnets")
        if not groups:
            yield Finding(where=task.where, expected="a security group in VpcConfig", came=groups)
        if len({str(one) for one in listed(subnets or [])}) < SUBNETS:
            yield Finding(where=task.where, expected=f"{SUBNETS} subnets in VpcConfig", came=subnets)
