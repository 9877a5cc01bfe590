"""The decisions in the lake, a day at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from console.environment import Place
from millrace.aws.objects import entries_below
from millrace.decisions import store
from millrace.decisions.record import Decision
from millrace.names import WorkloadNames


@dataclass(frozen=True, kw_only=True)
class Day:
    """The decisions about one day."""

    day: date
    decisions: tuple[Decision, ...]
    """In order of event time."""
    unreadable: int
    """Lines that are none."""


def find_days(
    place: Place, names: WorkloadNames, *, first: date | None = None, last: date | None = None
) -> Iterator[Day]:
    """The days of event time that have decisions, from `last` back to `first`, both included."""
    client, bucket = place.client("s3"), names.platform.bucket("lake")
    for day in _days(place, names, first, last):
        found = store.read_days(client, bucket, names.workload, [day])
        yield Day(day=day, decisions=found.decisions, unreadable=found.unreadable)


def find_decision(
    place: Place, names: WorkloadNames, wanted: str, *, first: date | None = None, last: date | None = None
) -> store.LocatedDecision | None:
    """The decision with this id, the newest days first; None when no day has it.

    An id does not say its day: without `first` and `last` every object may have to be read."""
    client, bucket = place.client("s3"), names.platform.bucket("lake")
    return store.find_decision(client, bucket, names.workload, wanted, _days(place, names, first, last))


def size_of_decisions(place: Place, names: WorkloadNames, month: str) -> int:
    """Bytes of the decisions about days of the month (yyyy-mm)."""
    bucket, under = names.platform.bucket("lake"), f"{names.workload}/decisions/date={month}"
    return sum(entry["Size"] for entry in entries_below(place.client("s3"), bucket, under))


def _days(place: Place, names: WorkloadNames, first: date | None, last: date | None) -> list[date]:
    """The newest first."""
    days = store.stored_days(place.client("s3"), names.platform.bucket("lake"), names.workload)
    return sorted((day for day in days if (first or day) <= day <= (last or day)), reverse=True)
