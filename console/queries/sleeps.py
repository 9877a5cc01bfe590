"""The sleeps of the live endpoint: since when it is stopped, and what the stops of a period have saved."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from console.environment import Environment
from console.queries.usage import CostLine, Fleet, fleet_line
from console.queries.versions import state_of
from millrace.messages.audit import EndpointStarted, EndpointStopped, VersionLive
from millrace.names import WorkloadNames
from millrace.state.asleep import Asleep, AsleepEndpoint
from millrace.state.audit import Record
from millrace.workload.prices import usd_per_hour

HOUR = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class Sleep:
    """From the stop of an endpoint to its start, or to the end of the period."""

    instance: str
    instances: int
    """How many it had when it was stopped."""
    begun: datetime
    ended: datetime

    @property
    def hours(self) -> float:
        return (self.ended - self.begun) / HOUR

    @property
    def usd(self) -> float:
        """What its instances would have cost, at list prices."""
        return self.hours * self.instances * usd_per_hour(self.instance)


def find_asleep(environment: Environment, names: WorkloadNames) -> Asleep | None:
    """The stopped endpoint; None if it serves."""
    return AsleepEndpoint(state_of(environment, names)).read()


def words_of(asleep: Asleep) -> str:
    """`asleep since 1997-06-01 18:50`, or `starting since 1997-06-02 06:12`."""
    return (
        f"starting since {asleep.asked:%Y-%m-%d %H:%M}"
        if asleep.asked
        else f"asleep since {asleep.since:%Y-%m-%d %H:%M}"
    )


def sleeps_of(records: Sequence[Record], first: datetime, end: datetime) -> list[Sleep]:
    """The sleeps by these records, as far as they lie between `first` and `end`."""
    cut = [
        Sleep(
            instance=stop.instance, instances=stop.instances, begun=max(stop.stopped_at, first), ended=min(until, end)
        )
        for stop, until in _stops(records, end)
    ]
    return [one for one in cut if one.begun < one.ended]


def awake_lines(records: Sequence[Record], first: datetime, end: datetime) -> tuple[CostLine, ...]:
    """The endpoint from `first`, or from the first version that was live, to `end`, without its sleeps.

    Empty for an endpoint that was never stopped: then its age says the hours. It counts as if it had always had the
    instances with which it was stopped last."""
    stops = [stop for stop, _ in _stops(records, end)]
    lived = [one.details.live_at for one in records if isinstance(one.details, VersionLive)]
    if not stops or not lived:
        return ()
    hours = (end - max(first, min(lived))) / HOUR - sum(one.hours for one in sleeps_of(records, first, end))
    fleet = Fleet(instance=stops[-1].instance, count=stops[-1].instances, created=min(lived))
    return (fleet_line(fleet, hours),) if hours > 0 else ()


def _stops(records: Sequence[Record], end: datetime) -> Iterator[tuple[EndpointStopped, datetime]]:
    """Each stop with the start that followed it; with `end` if none has."""
    stops, started = dict[datetime, EndpointStopped](), dict[datetime, datetime]()
    for details in (one.details for one in records):
        if isinstance(details, EndpointStopped):
            # The record of a start has the stop too, whose own record a sweep that fails does not write.
            stops.setdefault(details.stopped_at, details)
        if isinstance(details, EndpointStarted):
            started[details.stopped_at] = details.started_at
    for at, stop in stops.items():
        yield stop, started.get(at, end)
