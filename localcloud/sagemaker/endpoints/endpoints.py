"""The API of endpoints and their configurations: create, update, scale, delete.

Refused by name: serverless, asynchronous and shadow variants, inference components, data capture, rolling updates."""

from __future__ import annotations

from collections.abc import Iterable

from localcloud.kernel.cloud import Cloud
from localcloud.sagemaker.api import Fields, answer, arn, invalid, page, records, serve_tags, tag
from localcloud.sagemaker.channels import MoveError
from localcloud.sagemaker.endpoints.endpoint import Endpoint, config, endpoints, find, refuse_when_busy
from localcloud.sagemaker.endpoints.fleets import BootError, Fleet, fleet
from localcloud.sagemaker.endpoints.rollouts import update
from localcloud.sagemaker.models import model, serve_models

_WATCH_S = 0.05
"""Seconds between two looks for servers whose process has ended."""


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
    cloud.loop("endpoint-health", lambda: _watch(cloud))


def _watch(cloud: Cloud) -> None:
    """Until the cloud stops, have servers whose process has ended started again."""
    while not cloud.stopping.wait(_WATCH_S):
        for endpoint in list(endpoints(cloud).values()):
            for one in endpoint.fleets():
                one.replace_dead()


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
        for variant in request["ProductionVariants"]:
            _refuse(variant, _UNCOVERED_IN_VARIANT)
            if "ModelName" not in variant or "InstanceType" not in variant:
                raise invalid("expected ModelName and InstanceType in each production variant")
            model(cloud, variant["ModelName"])
        given = {key: value for key, value in request.items() if key != "Tags"}
        store[name] = {**given, "EndpointConfigArn": config_arn, "CreationTime": cloud.clock.now()}
        tag(cloud, config_arn, request.get("Tags", []))
        return {"EndpointConfigArn": config_arn}

    def delete(request: Fields) -> Fields:
        config(cloud, request["EndpointConfigName"])
        del store[request["EndpointConfigName"]]
        return {}

    def listed(request: Fields) -> Fields:
        rows = [{**one, "Name": one["EndpointConfigName"], "Status": ""} for one in store.values()]
        return page(rows, request, "EndpointConfigs")

    answer("CreateEndpointConfig", create)
    answer("DescribeEndpointConfig", lambda request: config(cloud, request["EndpointConfigName"]))
    answer("DeleteEndpointConfig", delete)
    answer("ListEndpointConfigs", listed)


def _install_endpoints(cloud: Cloud) -> None:
    def listed(request: Fields) -> Fields:
        rows = [
            {**one.fields, "Name": one.name, "Status": one.fields["EndpointStatus"]}
            for one in endpoints(cloud).values()
        ]
        return page(rows, request, "Endpoints")

    answer("CreateEndpoint", lambda request: _create(cloud, request))
    answer("DescribeEndpoint", lambda request: find(cloud, request["EndpointName"]).describe())
    answer("UpdateEndpoint", lambda request: update(cloud, request))
    answer("UpdateEndpointWeightsAndCapacities", lambda request: set_weights(cloud, request))
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


def set_weights(cloud: Cloud, request: Fields) -> Fields:
    """UpdateEndpointWeightsAndCapacities: change the weights at once, and the instances on a thread of their own.

    Raises RefusedError if the endpoint does not exist, is busy or not in service, or for an unknown variant."""
    endpoint = find(cloud, request["EndpointName"])
    with endpoint.lock:
        refuse_when_busy(endpoint)
        blue = endpoint.blue
        if blue is None:
            raise invalid(f'Cannot update endpoint "{endpoint.fields["EndpointArn"]}" that is not in service.')
        # All names are checked before the first variant changes, so that a refused request changes nothing.
        for wanted in request["DesiredWeightsAndCapacities"]:
            if wanted["VariantName"] not in blue.variants:
                raise invalid(
                    f'The variant name(s) "{wanted["VariantName"]}" is/are not present within endpoint '
                    f'configuration "{blue.config}".'
                )
        for wanted in request["DesiredWeightsAndCapacities"]:
            variant = blue.variants[wanted["VariantName"]]
            variant.weight = wanted.get("DesiredWeight", variant.weight)
            variant.desired = wanted.get("DesiredInstanceCount", variant.desired)
        endpoint.set("Updating")
    cloud.background(f"scale-{endpoint.name}", lambda: _scale(endpoint, blue))
    return {"EndpointArn": endpoint.fields["EndpointArn"]}


def _scale(endpoint: Endpoint, blue: Fleet) -> None:
    try:
        for variant in blue.variants.values():
            variant.grow()
            variant.shrink()
    except (BootError, MoveError) as error:
        endpoint.set("InService", FailureReason=str(error))
        return
    endpoint.set("InService")
