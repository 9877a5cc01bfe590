"""One endpoint: its status, its events and its fleets. The endpoints of a cloud are found by their names."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field
from typing import Any

from localcloud.kernel.cloud import Cloud
from localcloud.sagemaker.api import Fields, arn, existing, in_milliseconds, invalid
from localcloud.sagemaker.endpoints.fleets import Fleet


@dataclass(kw_only=True)
class Endpoint:
    """One endpoint. Its fleet `blue` serves; during an update the fleet `green` does."""

    cloud: Cloud
    fields: Fields
    """What Describe answers, without the variants."""
    blue: Fleet | None = None
    """None until the first fleet has booted."""
    green: Fleet | None = None
    """The next fleet, from its boot until it becomes `blue`; else None."""
    events_under_way: int = 0
    """How many events are on their way to the bus."""
    deleted: threading.Event = field(default_factory=threading.Event)
    lock: threading.RLock = field(default_factory=threading.RLock)
    """Held from the check that the endpoint is not busy until its status says that it is.

    So of two changes at once the second one is refused."""

    @property
    def name(self) -> str:
        name: str = self.fields["EndpointName"]
        return name

    @property
    def busy(self) -> bool:
        """Whether a change is under way, which another change must not meet."""
        return self.fields["EndpointStatus"] in {"Creating", "Updating", "RollingBack", "Deleting"}

    def set(self, status: str, **fields: Any) -> None:
        """Change the endpoint's status and fields, and put the event of the change on the bus.

        The event writes a status as `IN_SERVICE` where the API writes `InService`."""
        # The event is counted before the status changes. Else the cloud would look idle (status InService) while the
        # event, and what it starts, is still to come.
        with self.lock:
            self.events_under_way += 1
        self.fields.update({**fields, "LastModifiedTime": self.cloud.clock.now()})
        self.fields["EndpointStatus"] = status
        self.put_event(re.sub(r"(?<!^)(?=[A-Z])", "_", status).upper())
        with self.lock:
            self.events_under_way -= 1

    def put_event(self, status: str) -> None:
        """Put the event of a changed status on the bus; `status` is in the event's words (`IN_SERVICE`)."""
        self.cloud.emit(
            "aws.sagemaker",
            "SageMaker Endpoint State Change",
            in_milliseconds({**self.describe(), "EndpointStatus": status}),
            resources=[self.fields["EndpointArn"]],
        )

    def describe(self) -> Fields:
        """As DescribeEndpoint answers: the variant is that of `blue`."""
        return {**self.fields, "ProductionVariants": [self.blue.describe()] if self.blue else []}

    def fleets(self) -> list[Fleet]:
        """The fleets that have processes: `blue`, and `green` during an update."""
        return [one for one in (self.blue, self.green) if one is not None]


class Endpoints(dict[str, Endpoint]):
    """The endpoints of one cloud, by their names."""


def endpoints(cloud: Cloud) -> Endpoints:
    """The endpoints of the cloud. A change of this dictionary is kept."""
    return cloud.part(Endpoints)


def find(cloud: Cloud, name: str) -> Endpoint:
    """The endpoint of this name. Raises RefusedError if there is none."""
    found = endpoints(cloud).get(name)
    if found is None:
        raise invalid(f'Could not find endpoint "{arn(cloud, "endpoint", name)}".')
    return found


def config(cloud: Cloud, name: str) -> Fields:
    """The endpoint configuration of this name. Raises RefusedError if there is none."""
    missing = f'Could not find endpoint configuration "{arn(cloud, "endpoint-config", name)}".'
    return existing(cloud, "endpoint-config", name, missing)


def refuse_when_busy(endpoint: Endpoint) -> None:
    """Raises RefusedError if a change of the endpoint is under way. The caller holds the endpoint's lock."""
    if endpoint.busy:
        raise invalid(f'Cannot update in-progress endpoint "{endpoint.fields["EndpointArn"]}".')
