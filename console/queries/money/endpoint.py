"""The live endpoint in money: its instances, its hours, and whether anybody calls it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from millrace.aws.endpoints import find_endpoint, requests_by_time
from millrace.console.environment import Environment
from millrace.console.queries.money.work import DAY_S, HOURS_PER_MONTH, CostLine, source_of
from millrace.names import WorkloadNames
from millrace.workload.prices import usd_per_hour

IDLE_DAYS = 7
"""An endpoint without a request for this many days is idle."""
LOOK_BACK_DAYS = 90
"""How many days back the last request is searched. Without a request in them, the endpoint counts as never called."""
ALTERNATIVES = "docs/releases.md#an-endpoint-that-nobody-calls"
"""Where it is written what can be done about an idle endpoint."""
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


@dataclass(frozen=True, kw_only=True)
class IdleEndpoint:
    """A live endpoint without a request for `IDLE_DAYS` days or more."""

    endpoint: str
    days: int
    """Whole days since the last request; since the endpoint was made if there was none."""
    usd_per_month: float
    """US dollars a month for its present instances; an upper bound."""

    @property
    def sentence(self) -> str:
        return f"no request for {self.days} days, at {self.usd_per_month:.2f} USD a month ({ALTERNATIVES})"


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


def find_idle(environment: Environment, names: WorkloadNames, fleet: Fleet | None) -> IdleEndpoint | None:
    """The workload's idle endpoint; `fleet` is that of its live endpoint. None without one, or if it was made or called
    less than IDLE_DAYS days ago.

    A release sends its own requests to the challenger, so all requests to the live endpoint come from callers."""
    now = environment.now()
    if fleet is None or now - fleet.created < timedelta(days=IDLE_DAYS):
        return None
    # An endpoint that was replaced may have requests from before it was made, so the later of both counts.
    days = (now - max(fleet.created, _last_request(environment, names, now) or fleet.created)).days
    if days < IDLE_DAYS:
        return None
    return IdleEndpoint(endpoint=names.endpoint, days=days, usd_per_month=fleet.usd_per_hour * HOURS_PER_MONTH)


def _last_request(environment: Environment, names: WorkloadNames, now: datetime) -> datetime | None:
    """The end of the last day (UTC) with a request; None if there is none within LOOK_BACK_DAYS days."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    start = midnight - timedelta(days=LOOK_BACK_DAYS)
    cloudwatch = environment.client("cloudwatch")
    counted = requests_by_time(cloudwatch, names.endpoint, start=start, end=now, period_s=DAY_S)
    # A point stands for the day that begins at its time. The request may have come at the day's end.
    days = [day + timedelta(days=1) for day, requests in counted.items() if requests]
    return min(max(days), now) if days else None
