"""SageMaker's endpoints by a clock that is set by hand: each change takes minutes, and may fail.

Models, configurations and the registry are the local cloud's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

from localcloud.kernel.clock import Clock
from localcloud.kernel.cloud import Cloud
from localcloud.sagemaker.api import Fields, answer, arn, invalid
from localcloud.sagemaker.endpoints.endpoint import Endpoint, config, endpoints, find, refuse_when_busy
from localcloud.sagemaker.endpoints.endpoints import serve_endpoints
from localcloud.sagemaker.models import model
from localcloud.sagemaker.registry import serve_registry

START = datetime(2026, 3, 2, tzinfo=UTC)


class HandClock(Clock):
    """A clock that stands still until somebody sets it."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = START.timestamp()

    def timestamp(self) -> float:
        return self.seconds


@dataclass(kw_only=True)
class HandCloud(Cloud):
    """A local cloud without a server, threads or processes. `later` calls something so many seconds later."""

    workspace: Path = Path()
    port: int = 0
    clock: HandClock = field(default_factory=HandClock)
    told: Callable[[str, str, dict[str, Any]], None] = lambda *_: None
    """Gets source, type and detail of each event of AWS's own."""
    later: Callable[[float, Callable[[], None]], None] = lambda *_: None
    chance: Random = field(default_factory=Random)
    luckless: float = 0.0
    """The share of an endpoint's changes that fail."""

    def loop(self, name: str, run: Callable[[], None]) -> Any:
        """Nothing: the health of processes is not looked at."""

    def emit(self, source: str, detail_type: str, detail: Any, *, resources: Any = ()) -> str:
        self.told(source, detail_type, dict(detail))
        return ""


def serve(cloud: HandCloud) -> None:
    """Answer SageMaker's operations, those that change an endpoint by the cloud's clock."""
    serve_registry(cloud)
    serve_endpoints(cloud)
    answer("CreateEndpoint", lambda request: _create(cloud, request))
    answer("UpdateEndpoint", lambda request: _update(cloud, request))
    answer("UpdateEndpointWeightsAndCapacities", lambda request: scale(cloud, request["EndpointName"]))
    answer("DeleteEndpoint", lambda request: _delete(cloud, request))


def _fleet(settings: Fields) -> Any:
    """As much of a fleet as a description shows."""
    (variant,) = settings["ProductionVariants"]
    shown = {"VariantName": variant["VariantName"], "DesiredInstanceCount": variant["InitialInstanceCount"]}
    return SimpleNamespace(describe=lambda: dict(shown))


def _create(cloud: HandCloud, request: Fields) -> Fields:
    name, settings = request["EndpointName"], config(cloud, request["EndpointConfigName"])
    model(cloud, settings["ProductionVariants"][0]["ModelName"])
    if name in endpoints(cloud):
        raise invalid(f'Cannot create already existing endpoint "{name}".')
    fields = {"EndpointName": name, "EndpointArn": arn(cloud, "endpoint", name), "CreationTime": cloud.clock.now()}
    fields["EndpointConfigName"] = request["EndpointConfigName"]
    made = endpoints(cloud)[name] = Endpoint(cloud=cloud, fields=fields)
    made.set("Creating")

    def end() -> None:
        if cloud.chance.random() < cloud.luckless:
            made.set("Failed", FailureReason="no capacity")
        else:
            made.blue = _fleet(settings)
            made.set("InService")

    cloud.later(cloud.chance.uniform(60, 900), end)
    return {"EndpointArn": fields["EndpointArn"]}


def _update(cloud: HandCloud, request: Fields) -> Fields:
    endpoint, settings = find(cloud, request["EndpointName"]), config(cloud, request["EndpointConfigName"])
    refuse_when_busy(endpoint)
    if endpoint.blue is None:
        raise invalid(f'Cannot update endpoint "{endpoint.name}" that is not in service.')
    model(cloud, settings["ProductionVariants"][0]["ModelName"])
    endpoint.set("Updating")

    def end() -> None:
        if cloud.chance.random() < cloud.luckless:
            endpoint.set("RollingBack")
            cloud.later(120, lambda: endpoint.set("InService", FailureReason="an alarm"))
        else:
            endpoint.blue = _fleet(settings)
            endpoint.set("InService", EndpointConfigName=request["EndpointConfigName"])

    cloud.later(cloud.chance.uniform(300, 3600), end)
    return {"EndpointArn": endpoint.fields["EndpointArn"]}


def scale(cloud: HandCloud, name: str) -> Fields:
    """Add or take an instance: for some minutes SageMaker refuses every other change."""
    endpoint = find(cloud, name)
    refuse_when_busy(endpoint)
    endpoint.set("Updating")
    cloud.later(cloud.chance.uniform(60, 600), lambda: endpoint.set("InService"))
    return {"EndpointArn": endpoint.fields["EndpointArn"]}


def _delete(cloud: HandCloud, request: Fields) -> Fields:
    endpoint = find(cloud, request["EndpointName"])
    refuse_when_busy(endpoint)
    endpoint.set("Deleting")
    cloud.later(cloud.chance.uniform(10, 120), lambda: endpoints(cloud).pop(endpoint.name))
    return {}
