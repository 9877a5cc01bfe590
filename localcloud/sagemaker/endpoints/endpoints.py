"""The API of endpoints and their configurations: create, update, scale, delete.

Refused by name: several, serverless, asynchronous and shadow variants, inference components, data capture, updates that
roll or move the requests in steps."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from localcloud.kernel.cloud import Cloud, moto_backend
from localcloud.sagemaker.api import Fields, answer, arn, invalid, new_fields, page, records, serve_tags, tag
from localcloud.sagemaker.channels import MoveError
from localcloud.sagemaker.endpoints.endpoint import Endpoint, config, endpoints, find, refuse_when_busy
from localcloud.sagemaker.endpoints.fleets import BootError, Fleet, fleet
from localcloud.sagemaker.models import model, serve_models

# UpdateEndpoint as AWS's deployment guardrails do it: all traffic moves at once from the blue fleet to a green one.
#
#     green boots -> it gets all requests -> wait -> green becomes blue
#       while it waits an alarm is in ALARM -> all requests go to blue again -> green ends, FailureReason says why
#
# https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails-blue-green.html. Waits run by the cloud's clock.

_POLL_S = 0.02
_LONGEST_S = 28_800.0
"""The largest MaximumExecutionTimeoutInSeconds that AWS takes, 8 hours: the limit of a deployment that has none."""


class RollbackError(Exception):
    """The update goes back to the blue fleet. The message becomes the endpoint's FailureReason."""


def update(cloud: Cloud, request: Fields) -> Fields:
    """UpdateEndpoint: check the request here, and carry it out on a thread of its own.

    Raises RefusedError if the endpoint or its configuration does not exist, if the endpoint is busy or not in service,
    or for a deployment that AWS would refuse or that is not covered."""
    endpoint = find(cloud, request["EndpointName"])
    settings = config(cloud, request["EndpointConfigName"])
    deployment = request.get("DeploymentConfig", {})
    if not deployment and request.get("RetainDeploymentConfig"):
        deployment = endpoint.fields.get("LastDeploymentConfig", {})
    with endpoint.lock:
        refuse_when_busy(endpoint)
        if endpoint.blue is None:
            raise invalid(f'Cannot update endpoint "{endpoint.fields["EndpointArn"]}" that is not in service.')
        green = fleet(cloud, endpoint.name, settings, desired=endpoint.blue.desired if _is_kept(request) else None)
        _check(cloud, endpoint.blue, green, deployment)
        endpoint.fields.pop("FailureReason", None)
        endpoint.set("Updating", PendingDeploymentSummary={"EndpointConfigName": green.config})
    cloud.background(f"update-{endpoint.name}", lambda: _roll_out(endpoint, green, deployment))
    return {"EndpointArn": endpoint.fields["EndpointArn"]}


def _is_kept(request: Fields) -> bool:
    """Whether the green fleet keeps the blue one's number of instances."""
    excluded = {one["VariantPropertyType"] for one in request.get("ExcludeRetainedVariantProperties", [])}
    return bool(request.get("RetainAllVariantProperties")) and "DesiredInstanceCount" not in excluded


def _check(cloud: Cloud, blue: Fleet, green: Fleet, deployment: Fields) -> None:
    """Raises RefusedError for a deployment that is not covered, and for another instance type under autoscaling."""
    routing = deployment.get("BlueGreenUpdatePolicy", {}).get("TrafficRoutingConfiguration", {})
    if "RollingUpdatePolicy" in deployment:
        raise invalid("the local cloud does not cover RollingUpdatePolicy")
    if routing.get("Type", "ALL_AT_ONCE") != "ALL_AT_ONCE":
        raise invalid(f"the local cloud does not cover traffic routing of type {routing['Type']}")
    if deployment and green.name != blue.name:
        raise invalid("a deployment with guardrails needs the same variant names in both endpoint configurations")
    changed = green.name == blue.name and green.settings["InstanceType"] != blue.settings["InstanceType"]
    if changed and _is_autoscaled(cloud, blue):
        raise invalid(
            f"The variant {blue.name} is registered for autoscaling; deregister it before its instance type is changed"
        )


def _is_autoscaled(cloud: Cloud, blue: Fleet) -> bool:
    targets = moto_backend("applicationautoscaling", cloud.region).targets
    resource = f"endpoint/{blue.endpoint}/variant/{blue.name}"
    return resource in targets.get("sagemaker:variant:DesiredInstanceCount", {})


def _roll_out(endpoint: Endpoint, green: Fleet, deployment: Fields) -> None:
    # The whole update, on its own thread. It ends with the status InService, by the green fleet or by the blue one.
    cloud, blue = endpoint.cloud, endpoint.blue
    assert blue is not None
    policy = deployment.get("BlueGreenUpdatePolicy", {})
    alarms = [one["AlarmName"] for one in deployment.get("AutoRollbackConfiguration", {}).get("Alarms", [])]
    end = cloud.clock.timestamp() + policy.get("MaximumExecutionTimeoutInSeconds", _LONGEST_S)
    try:
        green.boot()
        endpoint.green = green
        wait_s = policy.get("TrafficRoutingConfiguration", {}).get("WaitIntervalInSeconds", 0)
        _bake(cloud, cloud.clock.timestamp() + wait_s + policy.get("TerminationWaitInSeconds", 0), alarms, end)
    except (BootError, MoveError, LookupError, ValueError, RollbackError) as error:
        _roll_back(endpoint, green, str(error))
        return
    except Exception as error:
        if cloud.stopping.is_set():
            return  # the cloud has ended the processes
        _roll_back(endpoint, green, f"InternalServerError: {type(error).__name__}: {error}")
        raise
    # Without the lock: `choose` may read a mixture of old and new values. Each mixture names a fleet that serves, or
    # the old blue fleet. A request that comes to that one after its end is sent once more (RetiredError).
    endpoint.blue, endpoint.green = green, None
    endpoint.fields.pop("PendingDeploymentSummary", None)
    kept = {"LastDeploymentConfig": deployment} if deployment else {}
    endpoint.set("InService", EndpointConfigName=green.config, **kept)
    blue.end()


def _roll_back(endpoint: Endpoint, green: Fleet, reason: str) -> None:
    # First the requests go to blue again, so that no further one fails. The green processes end after that.
    endpoint.green = None
    endpoint.set("RollingBack")
    green.end()
    endpoint.fields.pop("PendingDeploymentSummary", None)
    endpoint.set("InService", FailureReason=reason)


def _bake(cloud: Cloud, until: float, alarms: list[str], end: float) -> None:
    """Wait until the cloud's clock says `until`, and watch the alarms meanwhile.

    `until` and `end` are seconds since the epoch. Raises RollbackError if an alarm is in ALARM, if the deployment lasts
    beyond `end`, or if the cloud stops."""
    known = moto_backend("cloudwatch", cloud.region).alarms
    # The alarms are looked at before the time: one that is in ALARM at the end of the wait rolls back too.
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


_WATCH_S, _METER_S = 0.05, 60.0
"""Real seconds between two looks for servers whose process has ended, and between two readings of their memory."""


def pending(cloud: Cloud) -> list[str]:
    """The endpoints that are changing, or whose last event is on its way, as `endpoint NAME STATUS`."""
    found = list(endpoints(cloud).values())
    return [f"endpoint {one.name} {one.fields['EndpointStatus']}" for one in found if one.busy or one.events_under_way]


def serve_endpoints(cloud: Cloud) -> None:
    """Answer the operations on models, endpoint configurations and endpoints; start ended processes again."""
    serve_tags(cloud)
    serve_models(cloud)
    _install_configs(cloud)
    _install_endpoints(cloud)
    cloud.every(_WATCH_S, "endpoint-health", lambda: _each_fleet(cloud, Fleet.replace_dead))
    cloud.every(_METER_S, "endpoint-memory", lambda: _each_fleet(cloud, Fleet.meter))


def _each_fleet(cloud: Cloud, act: Callable[[Fleet], None]) -> None:
    for endpoint in list(endpoints(cloud).values()):
        for one in endpoint.fleets():
            act(one)


_UNCOVERED = (
    "ShadowProductionVariants",
    "AsyncInferenceConfig",
    "DataCaptureConfig",
    "ExplainerConfig",
)
_UNCOVERED_IN_VARIANT = ("ServerlessConfig", "ManagedInstanceScaling", "InstancePools", "CoreDumpConfig")


def _refuse(given: Fields, names: Iterable[str]) -> None:
    for name in names:
        # DataCaptureConfig may say that nothing is captured.
        if name in given and not (name == "DataCaptureConfig" and not given[name].get("EnableCapture")):
            raise invalid(f"the local cloud does not cover {name}")


def _install_configs(cloud: Cloud) -> None:
    store = records(cloud).of("endpoint-config")

    def create(request: Fields) -> Fields:
        name = request["EndpointConfigName"]
        config_arn = arn(cloud, "endpoint-config", name)
        if name in store:
            raise invalid(f'Cannot create already existing endpoint configuration "{config_arn}".')
        _refuse(request, _UNCOVERED)
        variant, *others = request["ProductionVariants"]
        if others:
            raise invalid("the local cloud does not cover several production variants")
        _refuse(variant, _UNCOVERED_IN_VARIANT)
        if "ModelName" not in variant or "InstanceType" not in variant:
            raise invalid("expected ModelName and InstanceType in the production variant")
        model(cloud, variant["ModelName"])
        store[name] = new_fields(cloud, request, "EndpointConfigArn", config_arn)
        return {"EndpointConfigArn": config_arn}

    def delete(request: Fields) -> Fields:
        config(cloud, request["EndpointConfigName"])
        del store[request["EndpointConfigName"]]
        return {}

    def listed(request: Fields) -> Fields:
        rows = [{**one, "Name": one["EndpointConfigName"], "Status": ""} for one in list(store.values())]
        return page(rows, request, "EndpointConfigs")

    answer("CreateEndpointConfig", create)
    answer("DescribeEndpointConfig", lambda request: config(cloud, request["EndpointConfigName"]))
    answer("DeleteEndpointConfig", delete)
    answer("ListEndpointConfigs", listed)


def _install_endpoints(cloud: Cloud) -> None:
    def listed(request: Fields) -> Fields:
        rows = [
            {**one.fields, "Name": one.name, "Status": one.fields["EndpointStatus"]}
            for one in list(endpoints(cloud).values())
        ]
        return page(rows, request, "Endpoints")

    answer("CreateEndpoint", lambda request: _create(cloud, request))
    answer("DescribeEndpoint", lambda request: find(cloud, request["EndpointName"]).describe())
    answer("UpdateEndpoint", lambda request: update(cloud, request))
    answer("UpdateEndpointWeightsAndCapacities", lambda request: set_capacity(cloud, request))
    answer("DeleteEndpoint", lambda request: _delete(cloud, request))
    answer("ListEndpoints", listed)


def _create(cloud: Cloud, request: Fields) -> Fields:
    # The answer comes at once. The processes boot on a thread, whose end changes the status.
    name, settings = request["EndpointName"], config(cloud, request["EndpointConfigName"])
    endpoint_arn = arn(cloud, "endpoint", name)
    made = fleet(cloud, name, settings)
    now = cloud.clock.now()
    with records(cloud).lock:
        if name in endpoints(cloud):
            raise invalid(f'Cannot create already existing endpoint "{endpoint_arn}".')
        endpoint = endpoints(cloud)[name] = Endpoint(
            cloud=cloud,
            fields={
                "EndpointName": name,
                "EndpointArn": endpoint_arn,
                "EndpointConfigName": made.config,
                "EndpointStatus": "Creating",
                "CreationTime": now,
                "LastModifiedTime": now,
            },
        )
    tag(cloud, endpoint_arn, request.get("Tags", []))
    endpoint.set("Creating")
    cloud.background(f"endpoint-{name}", lambda: _boot(endpoint, made))
    return {"EndpointArn": endpoint_arn}


def _boot(endpoint: Endpoint, made: Fleet) -> None:
    try:
        made.boot()
    except (BootError, MoveError, LookupError, ValueError) as error:
        endpoint.set("Failed", FailureReason=str(error))
        return
    except Exception as error:
        if endpoint.cloud.stopping.is_set():
            return  # the cloud has ended the processes: no failure of the endpoint
        endpoint.set("Failed", FailureReason=f"InternalServerError: {type(error).__name__}: {error}")
        raise
    # In this order: who sees InService may call the endpoint at once.
    endpoint.blue = made
    endpoint.set("InService")


def _delete(cloud: Cloud, request: Fields) -> Fields:
    endpoint = find(cloud, request["EndpointName"])
    # The check and the status that makes the check fail for others are one step. Every change of an endpoint begins so.
    with endpoint.lock:
        refuse_when_busy(endpoint)
        endpoint.set("Deleting")
    endpoint.deleted.set()

    def end() -> None:
        for one in endpoint.fleets():
            one.end()
        endpoints(cloud).pop(endpoint.name, None)
        endpoint.put_event("DELETED")

    cloud.background(f"delete-{endpoint.name}", end)
    return {}


def set_capacity(cloud: Cloud, request: Fields) -> Fields:
    """UpdateEndpointWeightsAndCapacities: change the number of instances, on a thread of their own.

    Raises RefusedError if the endpoint does not exist, is busy or not in service, or for an unknown variant."""
    endpoint = find(cloud, request["EndpointName"])
    (wanted,) = request["DesiredWeightsAndCapacities"]
    with endpoint.lock:
        refuse_when_busy(endpoint)
        blue = endpoint.blue
        if blue is None:
            raise invalid(f'Cannot update endpoint "{endpoint.fields["EndpointArn"]}" that is not in service.')
        if wanted["VariantName"] != blue.name:
            raise invalid(
                f'The variant name(s) "{wanted["VariantName"]}" is/are not present within endpoint '
                f'configuration "{blue.config}".'
            )
        _refuse(wanted, ("DesiredWeight",))
        blue.desired = wanted.get("DesiredInstanceCount", blue.desired)
        endpoint.set("Updating")
    cloud.background(f"scale-{endpoint.name}", lambda: _scale(endpoint, blue))
    return {"EndpointArn": endpoint.fields["EndpointArn"]}


def _scale(endpoint: Endpoint, blue: Fleet) -> None:
    try:
        blue.grow()
        blue.shrink()
    except (BootError, MoveError) as error:
        endpoint.set("InService", FailureReason=str(error))
        return
    endpoint.set("InService")
