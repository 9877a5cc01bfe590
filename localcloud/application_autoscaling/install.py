"""Application Auto Scaling of endpoint variants.

AWS does: keep the bounds, and add or remove instances while an alarm of target tracking is in ALARM.
moto does: keep targets and policies, and do nothing with them.
We do: make the two alarms, and change the number of processes. Cool-downs hold.
Weaker: other metrics and step scaling are refused. Scheduled actions do nothing.
"""

from __future__ import annotations

import math
import threading
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from moto.applicationautoscaling.exceptions import AWSValidationException
from moto.applicationautoscaling.models import ApplicationAutoscalingBackend

from localcloud.cloudwatch.metric_store import key_of
from localcloud.cloudwatch.metrics import Metrics
from localcloud.kernel.cloud import Cloud, moto_backend
from localcloud.kernel.patching import replace
from localcloud.sagemaker.endpoints.endpoint import Endpoint, endpoints
from localcloud.sagemaker.endpoints.endpoints import set_capacity
from localcloud.sagemaker.endpoints.fleets import Fleet

# Scales endpoint variants while the alarm of a policy is in ALARM.
#
# As on AWS, bounds hold at once. An alarm that stays is followed again after the cool-down. Of several policies the
# largest proposal wins. A target that is deregistered takes its policies with it.

# The two alarms of target tracking, and the capacity for which they ask.
#
# As on AWS, three minutes above the target raise the high alarm, and fifteen minutes below 0.9 of the target raise the
# low alarm. Minutes without requests raise neither. moto makes these alarms for DynamoDB and ECS only.

_MINUTE_S = 60
_MINUTES_OUT = 3
_MINUTES_IN = 15
_IN_BELOW = 0.9
"""The share of the target below which instances are removed.

These three numbers are those of the alarms that AWS makes. Its documentation does not give them."""
_NAMESPACE = "AWS/SageMaker"


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
        moto_backend("cloudwatch", cloud.region).put_metric_alarm(
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


def propose(cloud: Cloud, policy: Any, desired: int) -> int | None:
    """The capacity for which the alarm in ALARM asks; None if no alarm is, or if the desired capacity fits.

    The capacity is the number of requests divided by the target: 40 requests a minute at a target of 10 need 4
    instances. The alarm's metric, requests per instance, would not do: it depends on how many instances there were."""
    settings = policy.target_tracking_scaling_policy_configuration
    target = float(settings["TargetValue"])
    high, low = policy.alarms
    # To add instances, the last minute counts and the one under way. To remove instances, all minutes of the low alarm
    # count: the few requests of a minute under way are no sign that less is needed.
    if high.state_value == "ALARM" and (wanted := _needed(cloud, policy, 1, target)) > desired:
        return wanted
    if low.state_value == "ALARM" and not settings.get("DisableScaleIn"):
        wanted = _needed(cloud, policy, _MINUTES_IN, target)
        return wanted if 0 < wanted < desired else None
    return None


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


_DIMENSION = "sagemaker:variant:DesiredInstanceCount"
_METRIC = "SageMakerVariantInvocationsPerInstance"
_TICK_S = 0.25
"""Real seconds between two evaluations."""
_COOLDOWN_S = 300.0
"""AWS's default cool-down for both directions, in seconds of the cloud's clock."""


@dataclass(kw_only=True)
class Activities:
    """When scaling last changed something."""

    last: dict[tuple[str, str], float] = field(default_factory=dict)
    """The time of the last scaling by resource and direction (`In`, `Out`), in seconds of the cloud's clock."""
    lock: threading.Lock = field(default_factory=threading.Lock)
    """Held by an evaluation, and while a policy gets its alarms."""


def install(cloud: Cloud) -> None:
    """Scale endpoint variants from now on, as time passes and after each move of the clock."""
    _check_registrations(cloud)
    _keep_policies(cloud)
    cloud.clock.on_move(lambda _, __: evaluate(cloud))
    cloud.every(_TICK_S, "autoscaling", lambda: evaluate(cloud))


def _check_registrations(cloud: Cloud) -> None:
    # moto registers a variant that does not exist, and keeps the policies of a target that is deregistered. May go when
    # moto does neither.
    backend = ApplicationAutoscalingBackend
    register, deregister = backend.register_scalable_target, backend.deregister_scalable_target

    def register_checked(self: Any, namespace: str, r_id: str, dimension: str, **named: Any) -> Any:
        if namespace == "sagemaker" and _variant(cloud, r_id) is None:
            raise AWSValidationException(f"Could not find the endpoint and variant of resource ID {r_id}.")
        _check_bounds(self.targets.get(dimension, {}).get(r_id), named["min_capacity"], named["max_capacity"])
        return register(self, namespace, r_id, dimension, **named)

    def deregister_with_policies(self: Any, namespace: str, r_id: str, dimension: str) -> None:
        deregister(self, namespace, r_id, dimension)
        for policy in [one for one in list(self.policies.values()) if one.resource_id == r_id]:
            self.delete_scaling_policy(policy.policy_name, namespace, r_id, dimension)

    replace(backend, register_scalable_target=register_checked, deregister_scalable_target=deregister_with_policies)


def _check_bounds(former: Any, low: int | None, high: int | None) -> None:
    """Raises AWSValidationException if the bounds cross. A bound that the registration leaves out stays as it was."""
    lowest = low if low is not None else getattr(former, "min_capacity", None)
    highest = high if high is not None else getattr(former, "max_capacity", None)
    if lowest is not None and highest is not None and lowest > highest:
        raise AWSValidationException("Maximum capacity cannot be less than minimum capacity")


def _keep_policies(cloud: Cloud) -> None:
    # moto makes the alarms of a policy for DynamoDB and ECS only. It deletes those in `policy.alarms` with the policy.
    put = ApplicationAutoscalingBackend.put_scaling_policy

    def put_watched(self: Any, **named: Any) -> Any:
        if named["service_namespace"] != "sagemaker":
            return put(self, **named)
        resource, name = named["resource_id"], named["policy_name"]
        if resource not in self.targets.get(named["scalable_dimension"], {}):
            raise AWSValidationException(f"No scalable target registered for resource ID: {resource}")
        _check_policy(named["policy_type"], named["policy_body"] or {})
        former = [one for one in list(self.policies.values()) if (one.resource_id, one.policy_name) == (resource, name)]
        with cloud.part(Activities).lock:  # so that no evaluation sees the policy without its alarms
            policy = put(self, **named)
            policy.alarms = watch(cloud, policy, former[0].alarms if former else [])
        return policy

    replace(ApplicationAutoscalingBackend, put_scaling_policy=put_watched)


def _check_policy(kind: str | None, body: Mapping[str, Any]) -> None:
    metric = body.get("PredefinedMetricSpecification", {}).get("PredefinedMetricType")
    if kind != "TargetTrackingScaling" or metric != _METRIC:
        raise AWSValidationException(f"the local cloud covers target tracking of {_METRIC} only, got {kind} {metric}")


def _variant(cloud: Cloud, resource: str) -> tuple[Endpoint, Fleet] | None:
    """The endpoint and the fleet of `endpoint/NAME/variant/NAME`; None if one of them is not in service."""
    # A shorter id is filled up with empty names, which nothing has.
    _, name, _, variant = [*resource.split("/"), "", "", ""][:4]
    endpoint = endpoints(cloud).get(name)
    if endpoint is None or endpoint.blue is None or variant != endpoint.blue.name:
        return None
    return endpoint, endpoint.blue


def evaluate(cloud: Cloud) -> None:
    """Scale each registered variant as its bounds and policies ask now."""
    backend = moto_backend("applicationautoscaling", cloud.region)
    with cloud.part(Activities).lock:
        for resource, target in list(backend.targets.get(_DIMENSION, {}).items()):
            found = _variant(cloud, resource)
            if found is None:
                continue
            endpoint, variant = found
            # A busy endpoint is left alone; a later evaluation looks at it again. Under its lock an endpoint that is
            # not busy stays so. Locks are taken in this order only: first that of the activities, then that of the
            # endpoint, which `set_capacity` takes again.
            with endpoint.lock:
                if (
                    not endpoint.busy
                    and (wanted := _wanted(cloud, backend, target, variant.desired)) != variant.desired
                ):
                    _scale(cloud, endpoint, variant, resource, wanted)


def _wanted(cloud: Cloud, backend: Any, target: Any, desired: int) -> int:
    """What the bounds ask for, else what the policies ask for within the bounds; `desired` if nothing is to change."""
    low, high = int(target.min_capacity), int(target.max_capacity)
    largest = max(_proposals(cloud, backend, target, desired), default=desired) if low <= desired <= high else desired
    return max(low, min(high, largest))


def _proposals(cloud: Cloud, backend: Any, target: Any, desired: int) -> Iterator[int]:
    for policy in list(backend.policies.values()):
        proposal = propose(cloud, policy, desired) if policy.resource_id == target.resource_id else None
        if proposal is not None and _cooled(cloud, policy, _direction(proposal, desired)):
            yield proposal


def _direction(wanted: int, desired: int) -> str:
    return "Out" if wanted > desired else "In"


def _cooled(cloud: Cloud, policy: Any, direction: str) -> bool:
    """Whether the cool-down since the last scaling in this direction is over."""
    given_s = policy.target_tracking_scaling_policy_configuration.get(f"Scale{direction}Cooldown")
    last = cloud.part(Activities).last.get((policy.resource_id, direction), -math.inf)
    return cloud.clock.timestamp() - last >= (_COOLDOWN_S if given_s is None else float(given_s))


def _scale(cloud: Cloud, endpoint: Endpoint, variant: Fleet, resource: str, wanted: int) -> None:
    # Only the wanted number is set here: the instances boot on a thread of the endpoint's.
    cloud.part(Activities).last[resource, _direction(wanted, variant.desired)] = cloud.clock.timestamp()
    change = [{"VariantName": variant.name, "DesiredInstanceCount": wanted}]
    set_capacity(cloud, {"EndpointName": endpoint.name, "DesiredWeightsAndCapacities": change})
