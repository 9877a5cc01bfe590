"""Rule: volumes and outputs of jobs and endpoints are under the customer key, which self-encrypting disks refuse."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from infra.instances import has_own_disk
from infra.rules.assembly import Stack, Task, given, tasks
from infra.rules.finding import Finding

OUTPUTS = {
    "createTrainingJob": ("OutputDataConfig", "KmsKeyId"),
    "createProcessingJob": ("ProcessingOutputConfig", "KmsKeyId"),
    "createTransformJob": ("TransformOutput", "KmsKeyId"),
}
CLUSTERS = {
    "createTrainingJob": ("ResourceConfig",),
    "createProcessingJob": ("ProcessingResources", "ClusterConfig"),
    "createTransformJob": ("TransformResources",),
}


def check(stacks: Sequence[Stack]) -> Iterator[Finding]:
    """A finding for each output or volume without a key, and for each key that the instance would refuse."""
    for task in tasks(stacks, *OUTPUTS):
        key = given(task.parameters, *OUTPUTS[task.action])
        if not key:
            yield Finding(where=task.where, expected=f"a key in {'.'.join(OUTPUTS[task.action])}", came=key)
        cluster = given(task.parameters, *CLUSTERS[task.action])
        yield from _volume(task, given(cluster, "VolumeKmsKeyId"), [given(cluster, "InstanceType")])
    for task in tasks(stacks, "createEndpointConfig"):
        variants = given(task.parameters, "ProductionVariants") or [{}]
        instances = [given(variant, "InstanceType") for variant in variants]
        yield from _volume(task, given(task.parameters, "KmsKeyId"), instances)


def _volume(task: Task, key: Any, instances: list[Any]) -> Iterator[Finding]:
    if not all(isinstance(one, str) and one.startswith("ml.") for one in instances):
        yield Finding(where=task.where, expected="an InstanceType that is known when it is deployed", came=instances)
        return
    # A key is needed unless all disks encrypt themselves, and refused as soon as one does.
    own = [one for one in instances if has_own_disk(one)]
    if own and key:
        yield Finding(where=task.where, expected=f"no volume key: {', '.join(own)} refuses it", came=key)
    if not key and len(own) < len(instances):
        yield Finding(where=task.where, expected=f"a volume key: {', '.join(instances)} has no own disk", came=key)
