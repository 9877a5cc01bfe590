"""Rule: every container runs without network, in jobs and in models behind endpoints and batch transform."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from infra.rules.assembly import Stack, given, tasks
from infra.rules.finding import Finding

TASKS = {
    "createTrainingJob": ("EnableNetworkIsolation",),
    "createProcessingJob": ("NetworkConfig", "EnableNetworkIsolation"),
    "createModel": ("EnableNetworkIsolation",),
}
RESOURCES = {
    "AWS::SageMaker::Model": ("EnableNetworkIsolation",),
    "AWS::SageMaker::ProcessingJob": ("NetworkConfig", "EnableNetworkIsolation"),
}


def check(stacks: Sequence[Stack]) -> Iterator[Finding]:
    """A finding for each job and model that is not isolated, or that only run time decides about."""
    asked = [(task.where, given(task.parameters, *TASKS[task.action])) for task in tasks(stacks, *TASKS)]
    for stack in stacks:
        made = stack.resources(*RESOURCES)
        asked += [(resource.where, given(resource.properties, *RESOURCES[resource.kind])) for resource in made]
    for where, isolated in asked:
        if isolated is not True:
            yield Finding(where=where, expected="EnableNetworkIsolation true", came=isolated)
