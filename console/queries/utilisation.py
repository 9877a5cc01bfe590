"""How much a month's requests used of the endpoint, and what one could do about the rest, with its price."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b
from itertools import pairwise

from console.environment import Environment
from console.queries.decisions import Day, find_days, size_of_decisions
from console.queries.usage import HOURS_PER_MONTH, Fleet
from console.words import count
from millrace.aws.endpoints import busy_hours
from millrace.decisions.record import canonical
from millrace.names import WorkloadNames
from millrace.timestamps import next_month
from millrace.workload.declaration import Prediction, Workload
from millrace.workload.prices import PRICES, Price, price_of, usd_per_hour

MOST_BYTES = 256 * 2**20
"""A month's decisions are only counted up to this size. Beyond it the price of a thousand predictions is not known."""
TOGETHER = timedelta(seconds=1)
"""Calls of one caller that are this near could have been one."""
STOP_AFTER_H = 8
"""The `stop_after_hours` that is advised."""
LITTLE = 0.1
"""An endpoint that answers in less than this share of its busiest hour may be slower. Of predictions, of money and of
calls a share below it is no advice."""
HOUR = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """The requests about days of a month, by their decisions."""

    predictions: int
    calls: int
    together: int
    """Calls within TOGETHER after another one of the same caller."""
    repeated: int
    """Predictions whose row the same version had answered before, whatever its key and its time."""


@dataclass(frozen=True, kw_only=True)
class Utilisation:
    """The live endpoint in the hours of a month in which it stood."""

    hours: float
    busy: float
    """The share of its instance hours in which it worked on a request."""
    busiest: float
    """The same of its busiest hour."""
    silent: float
    """Hours without a request."""
    stoppable: float
    """Those of them that lie STOP_AFTER_H or more after the last request."""


def find_traffic(environment: Environment, names: WorkloadNames, first: datetime, spec: Prediction) -> Traffic | None:
    """The traffic about days of the month that begins at `first`; None if it is too many bytes to count."""
    last = next_month(first).date() - timedelta(days=1)
    if size_of_decisions(environment, names, f"{first:%Y-%m}") > MOST_BYTES:
        return None
    days = find_days(environment, names, first=first.date(), last=last, most_scored=0)
    return traffic_of(days, spec)


def traffic_of(days: Iterable[Day], spec: Prediction) -> Traffic:
    """The traffic of these days, the newest first. A fallback is a prediction that repeats nothing."""
    # What no feature reads says only which row it is.
    aside = {*spec.key, spec.event_time} - {*spec.feature_columns}
    predictions, repeated, calls, seen = 0, 0, set[tuple[str, datetime]](), set[bytes]()
    for day in days:
        predictions += len(day.decisions)
        for one in day.decisions:
            calls.add((one.caller or "", one.inferred_at))
            if one.model_version is None:
                continue
            cells = {name: cell for name, cell in json.loads(one.input).items() if name not in aside}
            row = blake2b(f"{one.model_version}{canonical(cells)}".encode(), digest_size=16).digest()
            repeated += row in seen
            seen.add(row)
    near = (a[0] == b[0] and b[1] - a[1] <= TOGETHER for a, b in pairwise(sorted(calls)))
    return Traffic(predictions=predictions, calls=len(calls), together=sum(near), repeated=repeated)


def find_utilisation(
    environment: Environment,
    names: WorkloadNames,
    first: datetime,
    end: datetime,
    *,
    fleet: Fleet,
    instance_hours: float,
) -> Utilisation:
    """How the endpoint was used from `first` to `end`, in which it stood for so many instance hours."""
    hours = busy_hours(environment.client("cloudwatch"), names.endpoint, start=first, end=end)
    stood_h, busy_h = instance_hours / fleet.count, [one.busy_s / 3600 for one in hours]
    since = max(first, end - stood_h * HOUR)
    marks = [since - HOUR, *(one.at for one in hours if one.at >= since), end]
    return Utilisation(
        hours=stood_h,
        busy=min(sum(busy_h) / instance_hours, 1.0),
        busiest=min(max(busy_h, default=0.0) / fleet.count, 1.0),
        silent=max(stood_h - len(busy_h), 0.0),
        stoppable=sum(max((b - a) / HOUR - 1 - STOP_AFTER_H, 0.0) for a, b in pairwise(marks)),
    )


def advise(
    workload: Workload, stage: str, fleet: Fleet, use: Utilisation, *, hosting: Collection[str]
) -> Iterator[str]:
    """What would make the endpoint cheaper. `hosting` are the instance types that SageMaker has for endpoints."""
    a_month = fleet.usd_per_hour * HOURS_PER_MONTH
    if workload.rollout.idle is None and use.stoppable > LITTLE * use.hours:
        yield (
            f"rollout.idle: {{stop_after_hours: {STOP_AFTER_H}}} would have saved "
            f"{use.stoppable * fleet.usd_per_hour:.2f} USD: no request in {use.silent:,.0f} of {use.hours:,.0f} hours"
        )
    if fleet.count > 1 and use.busiest * fleet.count < LITTLE:
        yield (
            f"one instance would save {a_month - a_month / fleet.count:.2f} USD a month: {fleet.count} are busy for "
            f"{use.busiest:.1%} of their busiest hour (rollout.min_instances; one alone has no other when it fails)"
        )
    if use.busiest < LITTLE and (smaller := _smaller(fleet.instance, hosting)):
        saved = a_month - usd_per_hour(smaller.instance) * fleet.count * HOURS_PER_MONTH
        yield (
            f"{smaller.instance} would save {saved:.2f} USD a month if {smaller.memory_gib} GiB of memory are enough: "
            f"busy for {use.busiest:.1%} of the busiest hour (rollout.instance.{stage}; measured before it is live)"
        )


def advise_callers(traffic: Traffic, *, endpoint_usd: float, functions_usd: float) -> Iterator[str]:
    """What callers could do, by what endpoint and functions cost in the month."""
    if traffic.together > LITTLE * traffic.calls:
        share = traffic.together / traffic.calls
        yield (
            f"{traffic.together:,} of {count(traffic.calls, 'call')} came within a second after another one of the "
            f"same caller: a call takes up to 1,000 rows, which saves {share * functions_usd:.4f} USD of functions"
        )
    if traffic.repeated > LITTLE * traffic.predictions:
        share = traffic.repeated / traffic.predictions
        yield (
            f"{traffic.repeated:,} of {count(traffic.predictions, 'prediction')} ask again what the same version has "
            f"answered: a cache would save up to {share * functions_usd:.4f} USD of functions, and "
            f"{share * endpoint_usd:.2f} USD of the endpoint where that lets an instance go"
        )


def _smaller(instance: str, hosting: Collection[str]) -> Price | None:
    """The dearest instance type that is cheaper and has no more GPUs; None if there is none."""
    now = price_of(instance)
    hosted = [one for one in PRICES if one.instance in hosting and one.gpus <= now.gpus]
    cheaper = [one for one in hosted if one.usd_per_hour < now.usd_per_hour]
    return max(cheaper, key=lambda one: one.usd_per_hour, default=None)
