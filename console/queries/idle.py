"""A live endpoint that nobody calls."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from console.environment import Environment
from console.queries.usage import DAY_S, HOURS_PER_MONTH, Fleet
from millrace.aws.endpoints import requests_by_time
from millrace.names import WorkloadNames

IDLE_DAYS = 7
"""An endpoint without a request for this many days is idle."""
LOOK_BACK_DAYS = 90
"""How many days back the last request is searched. Without a request in them, the endpoint counts as never called."""
ALTERNATIVES = "docs/releases.md#an-endpoint-that-nobody-calls"
"""Where it is written what can be done about an idle endpoint."""


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
    counted = requests_by_time(
        environment.client("cloudwatch"),
        names.endpoint,
        start=midnight - timedelta(days=LOOK_BACK_DAYS),
        end=now,
        period_s=DAY_S,
    )
    days = [day for day, requests in counted.items() if requests]
    # A point stands for the day that begins at its time. The request may have come at the day's end.
    return min(max(days) + timedelta(days=1), now) if days else None
