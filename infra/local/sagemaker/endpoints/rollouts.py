"""UpdateEndpoint as AWS's deployment guardrails do it: a green fleet beside the blue one, traffic shifted in steps,
alarms watched, back to blue when one of them is in ALARM.

https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails-blue-green.html. Waits run by the cloud's clock.
Rolling updates are refused by name. The share of the requests that green gets is its share of switched-on instances.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from moto.cloudwatch.models import cloudwatch_backends

from infra.local.kernel.cloud import ACCOUNT, Cloud
from infra.local.sagemaker.api import Fields, invalid
from infra.local.sagemaker.channels import MoveError
from infra.local.sagemaker.endpoints.endpoint import Endpoint, config, find, refuse_when_busy
from infra.local.sagemaker.endpoints.fleets import BootError, Fleet, fleet

_POLL_S = 0.02
_LONGEST_S = 28_800.0
"""The most that MaximumExecutionTimeoutInSeconds may be on AWS: 8 hours."""


class RollbackError(Exception):
    """The message becomes the endpoint's FailureReason."""


def update(cloud: Cloud, request: Fields) -> Fields:
    """UpdateEndpoint: checked here, done on a thread of its own."""
    endpoint = find(cloud, request["EndpointName"])
    settings = config(cloud, request["EndpointConfigName"])
    deployment = request.get("DeploymentConfig", {})
    if not deployment and request.get("RetainDeploymentConfig"):
        deployment = endpoint.fields.get("LastDeploymentConfig", {})
    with endpoint.lock:
        refuse_when_busy(endpoint)
        if endpoint.blue is None:
            raise invalid(f'Cannot update endpoint "{endpoint.fields["EndpointArn"]}" that is not in service.')
        green = fleet(cloud, endpoint.name, settings, keep=endpoint.blue, kept=_kept(request))
        _check(cloud, endpoint, green, deployment)
        endpoint.fields.pop("FailureReason", None)
        endpoint.set("Updating", PendingDeploymentSummary={"EndpointConfigName": green.config})
    cloud.background(f"update-{endpoint.name}", lambda: _roll_out(endpoint, green, deployment))
    return {"EndpointArn": endpoint.fields["EndpointArn"]}


def _kept(request: Fields) -> set[str]:
    if not request.get("RetainAllVariantProperties"):
        return set()
    excluded = {one["VariantPropertyType"] for one in request.get("ExcludeRetainedVariantProperties", [])}
    return {"DesiredInstanceCount", "DesiredWeight"} - excluded


def _check(cloud: Cloud, endpoint: Endpoint, green: Fleet, deployment: Fields) -> None:
    if "RollingUpdatePolicy" in deployment:
        raise invalid("the local cloud does not cover RollingUpdatePolicy")
    assert endpoint.blue is not None
    if deployment and set(green.variants) != set(endpoint.blue.variants):
        raise invalid("a deployment with guardrails needs the same variant names in both endpoint configurations")
    routing = _routing(deployment)
    instances = sum(variant.desired for variant in green.variants.values())
    if routing["Type"] in {"CANARY", "LINEAR"}:
        size = routing.get("CanarySize" if routing["Type"] == "CANARY" else "LinearStepSize")
        if size is None:
            raise invalid(f"expected a size for traffic routing of type {routing['Type']}")
        if _instances(size, instances) > instances / 2:
            raise invalid("the canary or step must not exceed 50 % of the instances of the endpoint")
    for variant in endpoint.blue.variants.values():
        after = green.variants.get(variant.name)
        changed = after is not None and after.settings["InstanceType"] != variant.settings["InstanceType"]
        if changed and _is_autoscaled(cloud, endpoint.name, variant.name):
            raise invalid(
                f"The variant {variant.name} is registered for autoscaling; deregister it before its instance type "
                "is changed"
            )


def _is_autoscaled(cloud: Cloud, endpoint: str, variant: str) -> bool:
    from moto.applicationautoscaling.models import applicationautoscaling_backends

    targets = applicationautoscaling_backends[ACCOUNT][cloud.region].targets
    resource = f"endpoint/{endpoint}/variant/{variant}"
    return resource in targets.get("sagemaker:variant:DesiredInstanceCount", {})


def _routing(deployment: Fields) -> Fields:
    at_once: Fields = {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}
    policy = deployment.get("BlueGreenUpdatePolicy", {})
    routing: Fields = policy.get("TrafficRoutingConfiguration", at_once)
    return routing


def _instances(size: Mapping[str, Any], total: int) -> int:
    """How many instances a CapacitySize means; at least one."""
    if size["Type"] == "INSTANCE_COUNT":
        return int(size["Value"])
    return max(1, math.ceil(total * float(size["Value"]) / 100))


def _steps(routing: Fields, total: int) -> list[int]:
    """The numbers of green instances that are switched on, one after the other; the last is all of them."""
    if routing["Type"] == "CANARY":
        return [_instances(routing["CanarySize"], total), total]
    if routing["Type"] == "LINEAR":
        # Ten instances by steps of three: 3, 6, 9, 10.
        step = _instances(routing["LinearStepSize"], total)
        return [*range(step, total, step), total]
    return [total]


def _roll_out(endpoint: Endpoint, green: Fleet, deployment: Fields) -> None:
    cloud, blue = endpoint.cloud, endpoint.blue
    assert blue is not None
    policy = deployment.get("BlueGreenUpdatePolicy", {})
    alarms = [one["AlarmName"] for one in deployment.get("AutoRollbackConfiguration", {}).get("Alarms", [])]
    end = cloud.clock.timestamp() + policy.get("MaximumExecutionTimeoutInSeconds", _LONGEST_S)
    try:
        green.boot()
        endpoint.green = green
        routing = _routing(deployment)
        total = sum(variant.desired for variant in green.variants.values())
        # Each wait begins where the one before was due, so that one move of the clock can end several.
        until = cloud.clock.timestamp()
        for switched_on in _steps(routing, total):
            endpoint.green_share = switched_on / total
            until += routing["WaitIntervalInSeconds"]
            _bake(cloud, until, alarms, end)
        _bake(cloud, until + policy.get("TerminationWaitInSeconds", 0), alarms, end)
    except (BootError, MoveError, LookupError, ValueError, RollbackError) as error:
        _roll_back(endpoint, green, str(error))
        return
    except Exception as error:
        if cloud.stopping.is_set():
            return
        _roll_back(endpoint, green, f"InternalServerError: {type(error).__name__}: {error}")
        raise
    # Without the lock: whatever mixture of old and new `choose` reads names a fleet that serves, or the old blue one. A
    # request that comes to that one when it has ended is sent once more (RetiredError).
    endpoint.blue, endpoint.green, endpoint.green_share = green, None, 0.0
    endpoint.fields.pop("PendingDeploymentSummary", None)
    kept = {"LastDeploymentConfig": deployment} if deployment else {}
    endpoint.set("InService", EndpointConfigName=green.config, **kept)
    blue.end()


def _roll_back(endpoint: Endpoint, green: Fleet, reason: str) -> None:
    # Traffic first, so that no further request fails; the processes end after that.
    endpoint.green_share = 0.0
    endpoint.set("RollingBack")
    endpoint.green = None
    green.end()
    endpoint.fields.pop("PendingDeploymentSummary", None)
    endpoint.set("InService", FailureReason=reason)


def _bake(cloud: Cloud, until: float, alarms: list[str], end: float) -> None:
    """Wait by the cloud's clock. Raises RollbackError when an alarm is in ALARM or the deployment takes too long."""
    known = cloudwatch_backends[ACCOUNT][cloud.region].alarms
    # Alarms before the time: one that is in ALARM at the end of the wait rolls back, too.
    while True:
        firing = [name for name in alarms if name in known and known[name].state_value == "ALARM"]
        if firing:
            raise RollbackError(f"One or more configured alarms are in ALARM state: {', '.join(firing)}")
        now = cloud.clock.timestamp()
        if now >= until:
            return
        if now > end:
            raise RollbackError("The deployment did not finish within MaximumExecutionTimeoutInSeconds")
        if cloud.stopping.wait(min(_POLL_S, until - now)):
            raise RollbackError("the local cloud stops")
