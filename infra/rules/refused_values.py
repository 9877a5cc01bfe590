"""Rule: no value that a service refuses when the resource is made, although the schema of its property allows it.

cfn-lint checks others of this kind: the visibility of a queue against the timeout of its function, repeated tags."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from infra.rules.assembly import Resource, Stack, given, machines
from infra.rules.finding import Finding

Values = Mapping[str, Any]
HOUR_S, DAY_S = 3600, 86_400
NEEDS_ROLE = (":states:", ":event-bus/", ":api-destination/", ":firehose:", ":kinesis:", ":batch:", ":ecs:")
"""Parts of the ARNs of targets that EventBridge reaches by a role. Functions, queues and topics have own policies."""


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """One kind of value that a service refuses."""

    kinds: tuple[str, ...]
    """Types of resources, and tasks by service and action: `sagemaker:createTrainingJob`."""
    expected: str
    came: Callable[[Values], Any]
    """Finds what is refused in the properties or parameters; None if nothing is."""


def check(stacks: Sequence[Stack]) -> Iterator[Finding]:
    """A finding for each value of a resource or a task that its service would refuse."""
    for stack in stacks:
        for resource in stack.resources():
            yield from _found(resource.where, resource.kind, resource.properties)
        yield from _private_names(stack)
    for machine in machines(stacks):
        for task in machine.tasks():
            yield from _found(task.where, f"{task.service}:{task.action}", task.parameters)


def _found(where: str, kind: str, values: Values) -> Iterator[Finding]:
    for refusal in REFUSALS:
        if kind in refusal.kinds and (came := refusal.came(values)) is not None:
            yield Finding(where=where, expected=refusal.expected, came=came)


def _number(values: Any, *path: str) -> int | None:
    """The whole number at the path; None if there is none, or if it is only known at deployment."""
    value = given(values, *path)
    return int(value) if isinstance(value, int) or (isinstance(value, str) and value.isdigit()) else None


def _beyond(low: int, high: int, *path: str) -> Callable[[Values], int | None]:
    """Finds a number at the path that is below `low` or above `high`."""

    def came(values: Values) -> int | None:
        number = _number(values, *path)
        return None if number is None or low <= number <= high else number

    return came


def _above(path: str, bound: str) -> Callable[[Values], str | None]:
    """Finds a number at `path` that is above the one at `bound`."""

    def came(values: Values) -> str | None:
        number, most = _number(values, path), _number(values, bound)
        return f"{number} of {most}" if number is not None and most is not None and number > most else None

    return came


def _evaluated_s(alarm: Values) -> int | None:
    """The seconds that an alarm looks back, if that is too long for its period."""
    periods = [_number(alarm, "Period"), *(_number(one, "MetricStat", "Period") for one in alarm.get("Metrics", []))]
    period_s, count = max((one for one in periods if one), default=0), _number(alarm, "EvaluationPeriods") or 1
    return period_s * count if period_s * count > (DAY_S if period_s < HOUR_S else 7 * DAY_S) else None


def _prefix_length(subnet: Values) -> str | None:
    block = given(subnet, "CidrBlock")
    outside = isinstance(block, str) and not 16 <= int(block.rpartition("/")[2]) <= 28
    return str(block) if outside else None


def _targets_without_role(rule: Values) -> list[str] | None:
    arns = [str(target.get("Arn")) for target in rule.get("Targets", []) if not target.get("RoleArn")]
    return [arn for arn in arns if any(part in arn for part in NEEDS_ROLE)] or None


def _window(schedule: Values) -> Values | None:
    window: Values = schedule.get("FlexibleTimeWindow", {})
    return window if (window.get("Mode") == "FLEXIBLE") != ("MaximumWindowInMinutes" in window) else None


def _twice(path: str, name: str) -> Callable[[Values], list[str] | None]:
    """Finds values at `name` that several objects of a list have."""
    return lambda values: [one for one, count in Counter(_texts(values, path, name)).items() if count > 1] or None


def _reserved(path: str, name: str, beginning: str) -> Callable[[Values], list[str] | None]:
    """Finds values at `name` with a beginning that AWS keeps for itself."""
    return lambda values: [one for one in _texts(values, path, name) if re.match(beginning, one)] or None


def _texts(values: Values, path: str, name: str) -> list[str]:
    """The values at `name` of the objects in a list; empty if the list is only known at run time."""
    listed = given(values, path)
    return [str(given(one, name)) for one in listed] if isinstance(listed, list) else []


def _private_names(stack: Stack) -> Iterator[Finding]:
    """A finding for each VPC endpoint with private DNS in a network without DNS names.

    https://docs.aws.amazon.com/vpc/latest/privatelink/create-interface-endpoint.html"""
    # By the text of a reference to the network, as a property has it.
    networks = {f"{{'Ref': '{one.logical_id}'}}": one for one in stack.resources("AWS::EC2::VPC")}
    for endpoint in stack.resources("AWS::EC2::VPCEndpoint"):
        network = networks.get(str(endpoint.properties.get("VpcId")))
        if network and given(endpoint.properties, "PrivateDnsEnabled") is True and not _has_names(network):
            expected = "EnableDnsSupport and EnableDnsHostnames of its network for PrivateDnsEnabled"
            yield Finding(where=endpoint.where, expected=expected, came=network.where)


def _has_names(network: Resource) -> bool:
    """Whether the network has DNS names. CloudFormation's defaults are DNS support, but no host names."""
    return (
        network.properties.get("EnableDnsSupport", True) is True
        and network.properties.get("EnableDnsHostnames") is True
    )


TAGGED = (
    "sagemaker:createTrainingJob", "sagemaker:createProcessingJob", "sagemaker:createTransformJob",
    "sagemaker:createHyperParameterTuningJob", "sagemaker:createModel", "sagemaker:createEndpointConfig",
    "sagemaker:createEndpoint",
)  # fmt: skip
REFUSALS: Sequence[Refusal] = (
    # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html
    Refusal(
        kinds=("AWS::SQS::Queue",),
        expected="maxReceiveCount of 1 to 1,000",
        came=_beyond(1, 1000, "RedrivePolicy", "maxReceiveCount"),
    ),
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html
    Refusal(
        kinds=("AWS::CloudWatch::Alarm",),
        expected="DatapointsToAlarm of EvaluationPeriods at most",
        came=_above("DatapointsToAlarm", "EvaluationPeriods"),
    ),
    Refusal(
        kinds=("AWS::CloudWatch::Alarm",),
        expected="a day at most (in seconds) of periods below an hour, seven of longer ones",
        came=_evaluated_s,
    ),
    # https://docs.aws.amazon.com/vpc/latest/userguide/subnet-sizing.html
    Refusal(kinds=("AWS::EC2::Subnet",), expected="a block of /16 to /28", came=_prefix_length),
    # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-identity-based.html
    Refusal(
        kinds=("AWS::Events::Rule",),
        expected="a RoleArn for each target but functions, queues and topics",
        came=_targets_without_role,
    ),
    # https://docs.aws.amazon.com/scheduler/latest/APIReference/API_FlexibleTimeWindow.html
    Refusal(
        kinds=("AWS::Scheduler::Schedule",),
        expected="MaximumWindowInMinutes where the mode is FLEXIBLE, and there alone",
        came=_window,
    ),
    # https://docs.aws.amazon.com/autoscaling/application/APIReference/API_RegisterScalableTarget.html
    Refusal(
        kinds=("AWS::ApplicationAutoScaling::ScalableTarget", "applicationautoscaling:registerScalableTarget"),
        expected="MinCapacity of MaxCapacity at most",
        came=_above("MinCapacity", "MaxCapacity"),
    ),
    # https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_StoppingCondition.html
    Refusal(
        kinds=("sagemaker:createTrainingJob",),
        expected="MaxRuntimeInSeconds of 28 days at most",
        came=_beyond(1, 28 * DAY_S, "StoppingCondition", "MaxRuntimeInSeconds"),
    ),
    Refusal(
        kinds=("sagemaker:createProcessingJob",),
        expected="MaxRuntimeInSeconds of 7 days at most",
        came=_beyond(1, 7 * DAY_S, "StoppingCondition", "MaxRuntimeInSeconds"),
    ),
    Refusal(
        kinds=("sagemaker:createTrainingJob",),
        expected="each channel's name once",
        came=_twice("InputDataConfig", "ChannelName"),
    ),
    Refusal(
        kinds=("sagemaker:createProcessingJob",),
        expected="each input's name once",
        came=_twice("ProcessingInputs", "InputName"),
    ),
    # https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEventsResultEntry.html
    Refusal(
        kinds=("events:putEvents",),
        expected="sources of one's own, none of aws.",
        came=_reserved("Entries", "Source", r"aws\."),
    ),
    # https://docs.aws.amazon.com/tag-editor/latest/userguide/tagging.html
    Refusal(kinds=TAGGED, expected="each tag once", came=_twice("Tags", "Key")),
    Refusal(kinds=TAGGED, expected="tags of one's own, none of aws:", came=_reserved("Tags", "Key", "(?i)aws:")),
)
