"""Target tracking for endpoint variants: instances are added and taken away by what each of them serves.

moto keeps targets and policies and does nothing with them. AWS makes two alarms per policy: three minutes above the
target scale out, fifteen below nine tenths of it scale in, and a minute without data keeps things as they are.
Here the same rule is applied to the variant's own count of requests, by the cloud's clock; the alarms are not made.
Not covered and refused by name: other metrics, step scaling, scheduled actions.
"""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from moto.applicationautoscaling.exceptions import AWSValidationException
from moto.applicationautoscaling.models import ApplicationAutoscalingBackend, applicationautoscaling_backends
from moto.applicationautoscaling.responses import ApplicationAutoScalingResponse

from infra.local.cloud import ACCOUNT, Cloud
from infra.local.endpoints import Endpoint, endpoints, set_weights
from infra.local.fleets import Variant
from infra.local.patching import replace

_DIMENSION = "sagemaker:variant:DesiredInstanceCount"
_METRIC = "SageMakerVariantInvocationsPerInstance"
_TICK_S = 0.25
_MINUTES_OUT = 3
_MINUTES_IN = 15
_IN_BELOW = 0.9
_COOLDOWN_S = 300.0


@dataclass(kw_only=True)
class Activities:
    """What scaling did, and when it did it last."""

    lines: list[dict[str, Any]] = field(default_factory=list)
    """Newest last, in the shape of DescribeScalingActivities."""
    last: dict[tuple[str, str], float] = field(default_factory=dict)
    """By resource and direction (`in`, `out`), in seconds of the cloud's clock."""
    lock: threading.Lock = field(default_factory=threading.Lock)


def install(cloud: Cloud) -> None:
    _check_registrations(cloud)
    _answer_activities(cloud)
    cloud.clock.on_move(lambda _, __: evaluate(cloud))
    cloud.background("autoscaling", lambda: _tick(cloud))


def _check_registrations(cloud: Cloud) -> None:
    backend = ApplicationAutoscalingBackend
    register, put = backend.register_scalable_target, backend.put_scaling_policy

    def register_checked(self: Any, namespace: str, r_id: str, *given: Any, **named: Any) -> Any:
        if namespace == "sagemaker" and _variant(cloud, r_id) is None:
            raise AWSValidationException(f"Could not find the endpoint and variant of resource ID {r_id}.")
        return register(self, namespace, r_id, *given, **named)

    def put_checked(self: Any, **named: Any) -> Any:
        if named["service_namespace"] == "sagemaker":
            targets = self.targets.get(named["scalable_dimension"], {})
            if named["resource_id"] not in targets:
                raise AWSValidationException(f"No scalable target registered for resource ID: {named['resource_id']}")
            _check_policy(named["policy_type"], named["policy_body"] or {})
        return put(self, **named)

    replace(backend, register_scalable_target=register_checked, put_scaling_policy=put_checked)


def _check_policy(kind: str | None, body: Mapping[str, Any]) -> None:
    metric = body.get("PredefinedMetricSpecification", {}).get("PredefinedMetricType")
    if kind != "TargetTrackingScaling" or metric != _METRIC:
        raise AWSValidationException(f"the local cloud covers target tracking of {_METRIC} only, got {kind} {metric}")


def _answer_activities(cloud: Cloud) -> None:
    def describe(response: Any) -> str:
        wanted = response._get_param("ResourceId")
        lines = [one for one in reversed(activities(cloud).lines) if wanted in (None, one["ResourceId"])]
        return json.dumps({"ScalingActivities": lines})

    replace(ApplicationAutoScalingResponse, describe_scaling_activities=describe)


def activities(cloud: Cloud) -> Activities:
    kept: Activities = cloud.parts.setdefault(Activities, Activities())
    return kept


def _variant(cloud: Cloud, resource: str) -> tuple[Endpoint, Variant] | None:
    """Endpoint and variant of `endpoint/NAME/variant/NAME`."""
    _, name, _, variant = [*resource.split("/"), "", "", ""][:4]
    endpoint = endpoints(cloud).get(name)
    if endpoint is None or endpoint.blue is None or variant not in endpoint.blue.variants:
        return None
    return endpoint, endpoint.blue.variants[variant]


def _tick(cloud: Cloud) -> None:
    while not cloud.stopping.wait(_TICK_S):
        evaluate(cloud)


def evaluate(cloud: Cloud) -> None:
    """Scale each registered variant as its bounds and policies say at this moment."""
    backend = applicationautoscaling_backends[ACCOUNT][cloud.region]
    with activities(cloud).lock:
        for resource, target in list(backend.targets.get(_DIMENSION, {}).items()):
            found = _variant(cloud, resource)
            if found is None or found[0].busy:
                continue
            endpoint, variant = found
            wanted = _within(target, variant.desired)
            why = "the registered capacity"
            if wanted == variant.desired:
                policies = [one for one in backend.policies.values() if one.resource_id == resource]
                proposals = [_propose(cloud, resource, variant, one) for one in policies]
                # Of several policies the one that wants most wins, as on AWS.
                wanted = max([one for one in proposals if one is not None], default=variant.desired)
                wanted = _within(target, wanted)
                why = "target tracking"
            if wanted != variant.desired:
                _scale(cloud, endpoint, variant, resource, wanted, why)


def _within(target: Any, wanted: int) -> int:
    return max(int(target.min_capacity), min(int(target.max_capacity), wanted))


def _propose(cloud: Cloud, resource: str, variant: Variant, policy: Any) -> int | None:
    """The number of instances that a policy wants now; None when it wants nothing."""
    settings = policy.target_tracking_scaling_policy_configuration
    target = float(settings["TargetValue"])
    now = cloud.clock.timestamp()
    minute = int(now // 60)
    recent = [variant.per_instance.get(minute - back) for back in range(1, _MINUTES_IN + 1)]
    high = recent[:_MINUTES_OUT]
    if all(value is not None and value > target for value in high) and recent[0] is not None:
        wanted = math.ceil(variant.desired * recent[0] / target)
        return wanted if _cooled(cloud, resource, "out", settings.get("ScaleOutCooldown"), now) else None
    low = all(value is not None and value < _IN_BELOW * target for value in recent)
    if low and recent[0] is not None and not settings.get("DisableScaleIn"):
        wanted = max(1, math.ceil(variant.desired * recent[0] / target))
        return wanted if _cooled(cloud, resource, "in", settings.get("ScaleInCooldown"), now) else None
    return None


def _cooled(cloud: Cloud, resource: str, direction: str, given_s: float | None, now: float) -> bool:
    last = activities(cloud).last.get((resource, direction), -math.inf)
    return now - last >= (_COOLDOWN_S if given_s is None else float(given_s))


def _scale(cloud: Cloud, endpoint: Endpoint, variant: Variant, resource: str, wanted: int, why: str) -> None:
    before = variant.desired
    now = cloud.clock.timestamp()
    kept = activities(cloud)
    kept.last[resource, "out" if wanted > before else "in"] = now
    kept.lines.append(
        {
            "ActivityId": f"{len(kept.lines)}",
            "ServiceNamespace": "sagemaker",
            "ResourceId": resource,
            "ScalableDimension": _DIMENSION,
            "Description": f"Setting desired instance count to {wanted}.",
            "Cause": f"{why} changed the desired count from {before} to {wanted}",
            "StartTime": now,
            "EndTime": now,
            "StatusCode": "Successful",
        }
    )
    change = [{"VariantName": variant.name, "DesiredInstanceCount": wanted}]
    set_weights(cloud, {"EndpointName": endpoint.name, "DesiredWeightsAndCapacities": change})
