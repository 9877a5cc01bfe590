"""The instances that the doctor asks an account for are those that the templates start."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from millrace.console.doctor import quotas
from millrace.console.doctor.quotas import required_instances
from millrace.infra.rules.assembly import Stack, Task, machines, read, tasks, text
from millrace.settings.drop import IntakeSettings
from millrace.workload.load import SUITE, load_workload, workload_folders


def started(task: Task) -> str | None:
    """The quota that a task's instances count against."""
    asked = task.parameters
    match task.action:
        case "createTrainingJob":
            use = "spot training job" if asked["EnableManagedSpotTraining"] else "training job"
            return f"{asked['ResourceConfig']['InstanceType']} for {use} usage"
        case "createProcessingJob":
            return f"{asked['ProcessingResources']['ClusterConfig']['InstanceType']} for processing job usage"
        case "createTransformJob":
            return f"{asked['TransformResources']['InstanceType']} for transform job usage"
        case "createEndpointConfig":
            return f"{asked['ProductionVariants'][0]['InstanceType']} for endpoint usage"
    return None


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_no_more_and_no_fewer(assemblies: dict[str, Path], stage: str) -> None:
    workloads = [load_workload(SUITE / "workloads" / "electricity")]
    found = {started(task) for task in tasks(read(assemblies[stage]))} - {None}
    assert found == {need.quota for need in required_instances(workloads, stage)}


def test_the_most_is_what_the_machines_start_at_once(assemblies: dict[str, Path]) -> None:
    """A machine has one run at once, and in it one job after the other; `score` as many runs as drops have slots, each
    with as many instances as are declared."""
    workload = load_workload(SUITE / "workloads" / "electricity")
    needs = required_instances([workload], "prod")
    for use, runs in (
        ("spot training job", 1),
        ("processing job", 1),
        ("transform job", IntakeSettings.model_fields["slots"].default * workload.scoring.instances),
    ):
        each = [[started(task) for task in machine.tasks()] for machine in machines(read(assemblies["prod"]))]
        starting = sum(any(f" for {use} usage" in str(quota) for quota in of_machine) for of_machine in each)
        (need,) = (one for one in needs if f" for {use} usage" in one.quota)
        assert need.most == runs * starting, use


def counted(stacks: Sequence[Stack]) -> tuple[Counter[str], int]:
    """How many roles each workload has, and how many all share.

    The role of Spark, which a stage with `bulk` has beside, is not counted."""
    found: Counter[str] = Counter()
    for stack in stacks:
        owner = stack.name.removeprefix("millrace-dev-").rpartition("-")[0]
        for one in stack.resources("AWS::IAM::Role"):
            found[owner] += not text(one.properties.get("RoleName", "")).endswith("-bulk")
    shared = found.pop("", 0)
    return found, shared


def test_what_is_counted_is_what_the_templates_make(assemblies: dict[str, Path], other_workloads: Path) -> None:
    """At most so many, and not far below: a doctor who asks for twice as much is not believed."""
    stacks = {stack.name: stack for folder in (other_workloads, assemblies["dev"]) for stack in read(folder)}
    found, shared = counted(list(stacks.values()))
    assert len(found) == len(workload_folders(SUITE / "workloads"))
    assert quotas.ROLES_OF_WORKLOAD / 2 <= max(found.values()) <= quotas.ROLES_OF_WORKLOAD
    assert 0 < shared <= quotas.ROLES_OF_STAGE
