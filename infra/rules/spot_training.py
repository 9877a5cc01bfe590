"""Rule: a spot training may wait for an instance at least as long as it may train, and resumes from a checkpoint."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from infra.rules.assembly import Stack, given, tasks
from infra.rules.finding import Finding


def check(stacks: Sequence[Stack]) -> Iterator[Finding]:
    """A finding for each spot training that SageMaker refuses, or that starts all over after an interruption."""
    for task in tasks(stacks, "createTrainingJob"):
        if given(task.parameters, "EnableManagedSpotTraining") is not True:
            continue
        runs = given(task.parameters, "StoppingCondition", "MaxRuntimeInSeconds") or 0
        waits = given(task.parameters, "StoppingCondition", "MaxWaitTimeInSeconds") or 0
        if waits < runs:
            yield Finding(where=task.where, expected=f"MaxWaitTimeInSeconds of {runs} at least", came=waits)
        if not given(task.parameters, "CheckpointConfig", "S3Uri"):
            yield Finding(where=task.where, expected="CheckpointConfig.S3Uri for a spot training", came=None)
