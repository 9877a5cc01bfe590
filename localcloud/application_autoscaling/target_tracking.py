"""The two alarms of target tracking, and the capacity for which they ask.

As on AWS, three minutes above the target raise the high alarm, and fifteen minutes below 0.9 of the target raise the
low alarm. Minutes without requests raise neither. moto makes these alarms for DynamoDB and ECS only."""

from __future__ import annotations

import math
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from moto.cloudwatch.models import cloudwatch_backends

from localcloud.cloudwatch.metric_store import key_of
from localcloud.cloudwatch.metrics import Metrics
from localcloud.kernel.cloud import ACCOUNT, Cloud

_MINUTE_S = 60
_MINUTES_OUT = 3
_MINUTES_IN = 15
_IN_BELOW = 0.9
"""The share of the target below which instances are removed.

These three numbers are those of the alarms that AWS makes. Its documentation does not give them."""
_NAMESPACE = "AWS/SageMaker"


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """How many instances are wanted, and why, in the words of a scaling activity."""

    instances: int
    cause: str


def watch(cloud: Cloud, policy: Any, former: list[Any]) -> list[Any]:
    """Make or change the policy's two alarms, and return the high and the low one.

    `former` are the alarms of a policy that is put again: these keep their names. Else it is empty."""
    settings = policy.target_tracking_scaling_policy_configuration
    target = float(settings["TargetValue"])
    kept = [alarm.name for alarm in former]
    names = kept or [f"TargetTracking-{policy.resource_id}-Alarm{side}-{uuid.uuid4()}" for side in ("High", "Low")]
    rules: tuple[tuple[str, int, float], ...] = (
        ("GreaterThanThreshold", _MINUTES_OUT, target),
        ("LessThanThreshold", _MINUTES_IN, _IN_BELOW * target),
    )
    return [
        cloudwatch_backends[ACCOUNT][cloud.region].put_metric_alarm(
            name=name,
            description=f"DO NOT EDIT OR DELETE. For TargetTrackingScaling policy {policy.policy_arn}.",
            namespace=_NAMESPACE,
            metric_name="InvocationsPerInstance",
            dimensions=[{"Name": key, "Value": value} for key, value in _dimensions(policy.resource_id).items()],
            statistic="Sum",
            period=_MINUTE_S,
            evaluation_periods=minutes,
            comparison_operator=comparison,
            threshold=threshold,
            alarm_actions=[policy.policy_arn],
        )
        for name, (comparison, minutes, threshold) in zip(names, rules, strict=True)
    ]


def propose(cloud: Cloud, policy: Any, desired: int) -> Proposal | None:
    """The capacity for which the alarm in ALARM asks; None if no alarm is, or if the desired capacity fits.

    The capacity is the number of requests divided by the target: 40 requests a minute at a target of 10 need 4
    instances. The alarm's metric, requests per instance, would not do: it depends on how many instances there were."""
    settings = policy.target_tracking_scaling_policy_configuration
    target = float(settings["TargetValue"])
    high, low = policy.alarms
    # To add instances, the last minute counts and the one under way. To remove instances, all minutes of the low alarm
    # count: the few requests of a minute under way are no sign that less is needed.
    if _sounds(high) and (wanted := _needed(cloud, policy, 1, target)) > desired:
        return _proposal(wanted, high, policy)
    if _sounds(low) and not settings.get("DisableScaleIn"):
        wanted = _needed(cloud, policy, _MINUTES_IN, target)
        return _proposal(wanted, low, policy) if 0 < wanted < desired else None
    return None


def _sounds(alarm: Any) -> bool:
    """Whether moto's alarm is in ALARM."""
    return bool(alarm.state_value == "ALARM")


def _proposal(wanted: int, alarm: Any, policy: Any) -> Proposal:
    cause = f"monitor alarm {alarm.name} in state ALARM triggered policy {policy.policy_name}"
    return Proposal(instances=wanted, cause=cause)


def _needed(cloud: Cloud, policy: Any, minutes: int, target: float) -> int:
    """The instances for the busiest of the last `minutes` and the minute under way; 0 without any data."""
    metrics: Metrics = cloud.parts[Metrics]
    key = key_of(_NAMESPACE, "Invocations", _dimensions(policy.resource_id))
    now = cloud.clock.timestamp()
    start = now // _MINUTE_S * _MINUTE_S - minutes * _MINUTE_S
    found = metrics.store.statistic(key, "Sum", _MINUTE_S, start, now + 0.001)
    return math.ceil(max(found.values(), default=0.0) / target)


def _dimensions(resource: str) -> Mapping[str, str]:
    """The dimensions of the metrics of the resource `endpoint/NAME/variant/NAME`."""
    _, endpoint, _, variant = resource.split("/")
    return {"EndpointName": endpoint, "VariantName": variant}
