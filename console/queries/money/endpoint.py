"""The live endpoint in money: its instances and its hours."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from millrace.aws.endpoints import find_endpoint
from millrace.console.environment import Environment
from millrace.console.queries.money.work import CostLine, source_of
from millrace.names import WorkloadNames
from millrace.workload.prices import usd_per_hour

HOUR = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """The instances of the live endpoint."""

    instance: str
    count: int
    created: datetime
    """When the endpoint was made; updates do not change it."""

    @property
    def usd_per_hour(self) -> float:
        return usd_per_hour(self.instance) * self.count


def live_fleet(environment: Environment, names: WorkloadNames) -> Fleet | None:
    """The instances of the live endpoint; None if there is none."""
    sagemaker = environment.client("sagemaker")
    described = find_endpoint(sagemaker, names.endpoint)
    if described is None:
        return None
    config = sagemaker.describe_endpoint_config(EndpointConfigName=described["EndpointConfigName"])
    return Fleet(
        instance=config["ProductionVariants"][0]["InstanceType"],
        count=sum(variant["CurrentInstanceCount"] for variant in described["ProductionVariants"]),
        created=described["CreationTime"],
    )


def endpoint_lines(fleet: Fleet | None, first: datetime, end: datetime) -> tuple[CostLine, ...]:
    """The endpoint from `first`, or from its creation, to `end`, as if it had always had its present instances.

    Empty without an endpoint, or if it was made after `end`. What an endpoint before it cost is not known here."""
    if fleet is None or (hours := (end - max(first, fleet.created)) / HOUR) <= 0:
        return ()
    line = CostLine(
        what="endpoint",
        which=f"{fleet.count} × {fleet.instance}",
        count=fleet.count * hours,
        unit="instance hours",
        usd=fleet.usd_per_hour * hours,
        since=fleet.created if fleet.created > first else None,
        source=source_of(fleet.instance),
    )
    return (line,)
