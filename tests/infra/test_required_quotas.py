"""The instances that the doctor asks an account for are those that the templates start."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from console.doctor.required_quotas import required_instances
from infra.context import REPOSITORY
from millrace.workload.load import load_workload
from tests.infra.test_static import machines

Templates = dict[str, dict[str, dict[str, Any]]]


def tasks(machine: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Action and parameters of each task."""
    for state in machine["States"].values():
        if state["Type"] == "Task":
            yield state["Resource"].rpartition(":")[2].removesuffix(".sync"), state.get("Parameters", {})
        for inner in ("Iterator", "ItemProcessor"):
            yield from tasks(state[inner]) if inner in state else ()


def started(action: str, asked: dict[str, Any]) -> str | None:
    """The quota that a task's instances count against."""
    match action:
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
def test_no_more_and_no_fewer(templates: Templates, stage: str) -> None:
    workloads = [load_workload(REPOSITORY / "workloads" / "electricity")]
    definitions = [each for template in templates[stage].values() for each in machines(template).values()]
    found = {started(*task) for definition in definitions for task in tasks(definition)} - {None}
    assert found == {need.quota for need in required_instances(workloads, stage)}
