"""Rules on the values of one resource or one task: what a stage must state.

What a service refuses is not asked here: the declarations bound what they name and count, and cfn-lint checks our
own templates with the longest names (`tests/infra/test_cold_starts.py`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from millrace.infra.instances import has_own_disk
from millrace.infra.rules.assembly import Finding, Stack, given, listed, resources, tasks

Values = Mapping[str, Any]
Found = Iterator[tuple[str, Any]]
"""What was expected and what came, once for each value that is refused."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """What is refused in the properties of a resource or the parameters of a task."""

    kinds: tuple[str, ...]
    """Types of resources, and tasks by service and action: `sagemaker:createTrainingJob`."""
    find: Callable[[Values], Found]


def check(checks: Sequence[Check], stacks: Sequence[Stack]) -> Iterator[Finding]:
    """A finding for each value of a resource or a task that one of the checks refuses."""
    for resource in resources(stacks):
        yield from _found(checks, resource.where, resource.kind, resource.properties)
    for task in tasks(stacks):
        yield from _found(checks, task.where, f"{task.service}:{task.action}", task.parameters)


def _found(checks: Sequence[Check], where: str, kind: str, values: Values) -> Iterator[Finding]:
    for one in checks:
        if kind in one.kinds:
            yield from (Finding(where=where, expected=expected, came=came) for expected, came in one.find(values))


def _is_true(*path: str) -> Callable[[Values], Found]:
    """Refuses any other value at the path, also one that only run time decides."""

    def find(values: Values) -> Found:
        if (came := given(values, *path)) is not True:
            yield f"{path[-1]} true", came

    return find


TRAINING, PROCESSING = ("sagemaker:createTrainingJob",), ("sagemaker:createProcessingJob",)
TRANSFORM, MODEL = ("sagemaker:createTransformJob",), ("sagemaker:createModel",)


# What jobs and models of ours must state.

VPC = {
    "createTrainingJob": ("VpcConfig",),
    "createProcessingJob": ("NetworkConfig", "VpcConfig"),
    "createModel": ("VpcConfig",),
}
"""For each call that starts containers, the path of their network."""
SUBNETS = 2
"""Two subnets for two zones: if one zone has no capacity, SageMaker uses the other. The zones are not checked."""


def _is_in_network(*path: str) -> Callable[[Values], Found]:
    def find(values: Values) -> Found:
        vpc = given(values, *path)
        groups, subnets = given(vpc, "SecurityGroupIds"), given(vpc, "Subnets")
        if not groups:
            yield "a security group in VpcConfig", groups
        if len({str(one) for one in listed(subnets or [])}) < SUBNETS:
            yield f"{SUBNETS} subnets in VpcConfig", subnets

    return find


PRIVATE_NETWORK = tuple(
    Check(kinds=(f"sagemaker:{action}",), find=_is_in_network(*path)) for action, path in VPC.items()
)
ISOLATION = "EnableNetworkIsolation"
NETWORK_ISOLATION = (
    Check(kinds=(*TRAINING, *MODEL, "AWS::SageMaker::Model"), find=_is_true(ISOLATION)),
    Check(kinds=(*PROCESSING, "AWS::SageMaker::ProcessingJob"), find=_is_true("NetworkConfig", ISOLATION)),
)


def _keys(output: str, *cluster: str) -> Callable[[Values], Found]:
    """Refuses a job without a key for its output and its volumes, and a key that its instance refuses."""

    def find(values: Values) -> Found:
        if not (key := given(values, output, "KmsKeyId")):
            yield f"a key in {output}.KmsKeyId", key
        yield from _volume(given(values, *cluster, "VolumeKmsKeyId"), [given(values, *cluster, "InstanceType")])

    return find


def _endpoint_keys(values: Values) -> Found:
    variants = given(values, "ProductionVariants") or [{}]
    yield from _volume(given(values, "KmsKeyId"), [given(variant, "InstanceType") for variant in variants])


def _volume(key: Any, instances: list[Any]) -> Found:
    if not all(isinstance(one, str) and one.startswith("ml.") for one in instances):
        yield "an InstanceType that is known when it is deployed", instances
        return
    # A key is needed unless all disks encrypt themselves, and refused as soon as one does.
    own = [one for one in instances if has_own_disk(one)]
    if own and key:
        yield f"no volume key: {', '.join(own)} refuses it", key
    if not key and len(own) < len(instances):
        yield f"a volume key: {', '.join(instances)} has no own disk", key


JOB_KEYS = (
    Check(kinds=TRAINING, find=_keys("OutputDataConfig", "ResourceConfig")),
    Check(kinds=PROCESSING, find=_keys("ProcessingOutputConfig", "ProcessingResources", "ClusterConfig")),
    Check(kinds=TRANSFORM, find=_keys("TransformOutput", "TransformResources")),
    Check(kinds=("sagemaker:createEndpointConfig",), find=_endpoint_keys),
)
