"""One endpoint: its status, its events and its fleets; and all of them, by name."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field
from typing import Any

from infra.local.kernel.cloud import Cloud
from infra.local.sagemaker.api import Fields, arn, in_milliseconds, invalid, records
from infra.local.sagemaker.endpoints.fleets import Fleet


@dataclass(kw_only=True)
class Endpoint:
    """One endpoint: `blue` serves; during an update `green` takes the share `green_share` of the requests."""

    cloud: Cloud
    fields: Fields
    """What Describe answers, without the variants."""
    blue: Fleet | None = None
    green: Fleet | None = None
    green_share: float = 0.0
    events_under_way: int = 0
    """Events that are on their way to the bus."""
    deleted: threading.Event = field(default_factory=threading.Event)
    lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def name(self) -> str:
        name: str = self.fields["EndpointName"]
        return name

    @property
    def busy(self) -> bool:
        return self.fields["EndpointStatus"] in {"Creating", "Updating", "RollingBack", "Deleting"}

    def set(self, status: str, **fields: Any) -> None:
        """Change the endpoint and put the event on the bus; the event writes IN_SERVICE for the API's InService."""
        # Counted from before the status changes: else the cloud would look idle (status InService) while the event, and
        # what it starts, is still to come.
        with self.lock:
            self.events_under_way += 1
        self.fields.update({**fields, "LastModifiedTime": self.cloud.clock.now()})
        self.fields["EndpointStatus"] = status
        self.put_event(re.sub(r"(?<!^)(?=[A-Z])", "_", status).upper())
        with self.lock:
            self.events_under_way -= 1

    def put_event(self, status: str) -> None:
        self.cloud.emit(
            "aws.sagemaker",
            "SageMaker Endpoint State Change",
            in_milliseconds({**self.describe(), "EndpointStatus": status}),
            resources=[self.fields["EndpointArn"]],
        )

    def describe(self) -> Fields:
        shown = self.blue.variants.values() if self.blue else []
        return {**self.fields, "ProductionVariants": [variant.describe() for variant in shown]}

    def fleets(self) -> list[Fleet]:
        return [one for one in (self.blue, self.green) if one is not None]


@dataclass(kw_only=True)
class Endpoints:
    by_name: dict[str, Endpoint] = field(default_factory=dict)


def endpoints(cloud: Cloud) -> dict[str, Endpoint]:
    return cloud.part(Endpoints).by_name


def find(cloud: Cloud, name: str) -> Endpoint:
    found = endpoints(cloud).get(name)
    if found is None:
        raise invalid(f'Could not find endpoint "{arn(cloud, "endpoint", name)}".')
    return found


def config(cloud: Cloud, name: str) -> Fields:
    found = records(cloud).of("endpoint-config").get(name)
    if found is None:
        raise invalid(f'Could not find endpoint configuration "{arn(cloud, "endpoint-config", name)}".')
    return found


def refuse_when_busy(endpoint: Endpoint) -> None:
    if endpoint.busy:
        raise invalid(f'Cannot update in-progress endpoint "{endpoint.fields["EndpointArn"]}".')
