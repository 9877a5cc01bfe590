"""Checks, at the call that passes a role to a service, what the service will do under that role.

In the name of the role AWS pulls the image, enters the VPC, makes its managed rules and sends logs. If a permission is
missing, AWS acts in different ways: it refuses some calls at once (a machine without its rules), it ends some jobs
later, and without permissions for logs it loses lines without an error. Here the call is always refused, and the
message names the role and the action."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from localcloud.iam.policies import Request
from localcloud.iam.required_permissions.permission import ParsedCall, grant_of, key_arn, permission, resource_arn
from localcloud.kernel.calls import Call
from localcloud.kernel.cloud import ACCOUNT, Cloud

RolePermission = tuple[str, Request]
"""A role's ARN, and a permission that it must have."""

_DELIVERY = (
    "CreateLogDelivery", "GetLogDelivery", "UpdateLogDelivery", "DeleteLogDelivery", "ListLogDeliveries",
    "PutResourcePolicy", "DescribeResourcePolicies", "DescribeLogGroups",
)  # fmt: skip
"""What Step Functions does to deliver logs: https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html"""
_RULES = {
    "emr-serverless:startJobRun": "EMRServerlessJob",
    "sagemaker:createTrainingJob": "SageMakerTrainingJobs",
    "sagemaker:createProcessingJob": "SageMakerProcessingJobs",
    "sagemaker:createTransformJob": "SageMakerTransformJobs",
    "states:startExecution": "StepFunctionsExecution",
}
"""The managed rule by which Step Functions learns of the end of a job or an execution, by the task that waits for it.

https://docs.aws.amazon.com/step-functions/latest/dg/sagemaker-iam.html"""
_PULL = ("BatchCheckLayerAvailability", "BatchGetImage", "GetDownloadUrlForLayer")
_INTERFACES = (
    "CreateNetworkInterface", "CreateNetworkInterfacePermission", "DeleteNetworkInterface",
    "DeleteNetworkInterfacePermission", "DescribeDhcpOptions", "DescribeNetworkInterfaces", "DescribeSecurityGroups",
    "DescribeSubnets", "DescribeVpcs",
)  # fmt: skip
_STREAM = ("CreateLogGroup", "CreateLogStream", "DescribeLogStreams", "PutLogEvents")
"""What SageMaker does to pull an image (_PULL), to enter a VPC (_INTERFACES) and to write logs (_STREAM):

https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-roles.html"""


def passed_role_permissions(cloud: Cloud, call: Call) -> list[RolePermission]:
    """The permissions that services will use under the roles that the call hands over, each with its role."""
    found = _BY_CALL.get(call.name)
    return list(found(cloud, ParsedCall(call=call, parameters=call.parameters()))) if found else []


def _of_machine(_: Cloud, parsed: ParsedCall) -> Iterator[RolePermission]:
    role = parsed.get("roleArn")
    if not role:
        return
    for name in sorted(set(_waited(json.loads(parsed.get("definition") or "{}")))):
        rule = resource_arn("events", f"rule/StepFunctionsGetEventsFor{name}Rule")
        yield from ((role, permission(f"events:{verb}", rule)) for verb in ("PutTargets", "PutRule", "DescribeRule"))
    if (parsed.get("loggingConfiguration") or {}).get("level", "OFF") != "OFF":
        yield from ((role, permission(f"logs:{verb}")) for verb in _DELIVERY)


def _waited(program: Mapping[str, Any]) -> Iterator[str]:
    """The managed rules that the tasks of a definition need, at any depth: `SageMakerTrainingJobs`."""
    for state in program.get("States", {}).values():
        # `arn:aws:states:::sagemaker:createTrainingJob.sync` waits for the end, and needs its rule.
        task, found, _ = str(state.get("Resource", "")).partition(":states:::")[2].partition(".sync")
        if found and task in _RULES:
            yield _RULES[task]
        inner = state.get("ItemProcessor") or state.get("Iterator")
        for part in [inner] if inner else state.get("Branches", []):
            yield from _waited(part)


def _of_training(_: Cloud, parsed: ParsedCall) -> Iterator[RolePermission]:
    role, vpc = parsed.get("RoleArn"), parsed.get("VpcConfig")
    image = (parsed.get("AlgorithmSpecification") or {}).get("TrainingImage")
    volume = parsed.get("ResourceConfig") or {}
    yield from _of_container(role, image, vpc=vpc, key=volume.get("VolumeKmsKeyId"))
    yield from _of_output(role, parsed.get("OutputDataConfig"))
    yield from _described(role, "TrainingJobs", "TrainingJobs")


def _of_processing(_: Cloud, parsed: ParsedCall) -> Iterator[RolePermission]:
    role, vpc = parsed.get("RoleArn"), (parsed.get("NetworkConfig") or {}).get("VpcConfig")
    image = (parsed.get("AppSpecification") or {}).get("ImageUri")
    cluster = (parsed.get("ProcessingResources") or {}).get("ClusterConfig") or {}
    yield from _of_container(role, image, vpc=vpc, key=cluster.get("VolumeKmsKeyId"))
    yield from _of_output(role, parsed.get("ProcessingOutputConfig"))
    yield from _described(role, "ProcessingJobs", "ProcessingJobs")


def _of_model(_: Cloud, parsed: ParsedCall) -> Iterator[RolePermission]:
    container = parsed.get("PrimaryContainer") or {}
    yield from _of_container(parsed.get("ExecutionRoleArn"), container.get("Image"), vpc=parsed.get("VpcConfig"))


def _of_transform(cloud: Cloud, parsed: ParsedCall) -> Iterator[RolePermission]:
    role, key = _role_of(cloud, parsed.get("ModelName")), (parsed.get("TransformResources") or {}).get("VolumeKmsKeyId")
    yield from _of_container(role, None, key=key)
    yield from _described(role, "TransformJobs", "TransformJobs")


def _of_endpoint(cloud: Cloud, parsed: ParsedCall) -> Iterator[RolePermission]:
    config = _kept(cloud, "endpoint-config", parsed.get("EndpointConfigName"))
    for role in {_role_of(cloud, variant.get("ModelName")) for variant in config.get("ProductionVariants", [])}:
        yield from _described(role, "Endpoints", f"Endpoints/{parsed.get('EndpointName')}")


def _of_container(
    role: str | None, image: str | None, *, vpc: Any = None, key: str | None = None
) -> Iterator[RolePermission]:
    """What SageMaker needs to start a container: its image, its network interfaces, the key of its volume."""
    if not role:
        return
    # `123456789012.dkr.ecr.eu-west-1.amazonaws.com/name:tag` or `…/name@sha256:…`; others' images need no permission.
    host, _, rest = (image or "").partition("/")
    if host.startswith(f"{ACCOUNT}.dkr.ecr."):
        repository = resource_arn("ecr", f"repository/{rest.partition('@')[0].partition(':')[0]}")
        yield role, permission("ecr:GetAuthorizationToken")
        yield from ((role, permission(f"ecr:{verb}", repository)) for verb in _PULL)
    if vpc:
        yield from ((role, permission(f"ec2:{verb}")) for verb in _INTERFACES)
    if key:
        yield role, grant_of(key)


def _of_output(role: str, output: Mapping[str, Any] | None) -> Iterator[RolePermission]:
    key = (output or {}).get("KmsKeyId")
    if key:
        yield role, permission("kms:Encrypt", key_arn(key))


def _described(role: str | None, namespace: str, group: str) -> Iterator[RolePermission]:
    """The logs and metrics that SageMaker writes in the role's name."""
    if not role:
        return
    own = resource_arn("logs", f"log-group:/aws/sagemaker/{group}")
    yield from ((role, permission(f"logs:{verb}", own, f"{own}:*", f"{own}:log-stream:one")) for verb in _STREAM)
    mine = {"cloudwatch:namespace": (f"/aws/sagemaker/{namespace}",)}
    yield role, Request(action="cloudwatch:PutMetricData", resources=("*",), context=mine)


def _role_of(cloud: Cloud, model: str | None) -> str | None:
    """The role of a model that exists: calls that name only the model pass its role on."""
    return _kept(cloud, "model", model).get("ExecutionRoleArn")


def _kept(cloud: Cloud, kind: str, name: str | None) -> Mapping[str, Any]:
    """The description of a resource of SageMaker, or an empty one if there is none."""
    from localcloud.sagemaker.api import records

    return records(cloud).of(kind).get(str(name), {})


_BY_CALL: Mapping[str, Callable[[Cloud, ParsedCall], Iterator[RolePermission]]] = {
    "stepfunctions:CreateStateMachine": _of_machine,
    "stepfunctions:UpdateStateMachine": _of_machine,
    "sagemaker:CreateTrainingJob": _of_training,
    "sagemaker:CreateProcessingJob": _of_processing,
    "sagemaker:CreateTransformJob": _of_transform,
    "sagemaker:CreateModel": _of_model,
    "sagemaker:CreateEndpoint": _of_endpoint,
    "sagemaker:UpdateEndpoint": _of_endpoint,
}
