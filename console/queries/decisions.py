"""The decisions in the lake: a day at a time, of each id the last line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from typing import Any

from console.environment import Environment
from millrace.aws.objects import entries_below, folders_below
from millrace.decisions.record import Decision, from_line, prefix
from millrace.errors import DecisionError
from millrace.names import WorkloadNames


@dataclass(frozen=True, kw_only=True)
class Day:
    """The decisions about one day."""

    day: date
    decisions: tuple[Decision, ...]
    """In order of event time."""
    unreadable: int
    """Lines that are not valid decisions."""


@dataclass(frozen=True, kw_only=True)
class StoredDecision:
    """One decision and the object whose line it is."""

    uri: str
    decision: Decision


def find_days(
    environment: Environment, names: WorkloadNames, *, first: date | None = None, last: date | None = None
) -> Iterator[Day]:
    """The days of event time that have decisions, from `last` back to `first`, both included."""
    client, bucket = environment.client("s3"), names.platform.bucket("lake")
    for day in sorted(_days(client, names), reverse=True):
        if (first is None or first <= day) and (last is None or day <= last):
            yield read_day(client, bucket, names.workload, day)


def read_day(client: Any, bucket: str, workload: str, day: date) -> Day:
    """One day; of lines with the same id the one in the object that was written last wins."""
    found: dict[str, Decision] = {}
    unreadable = 0
    for key in _objects(client, bucket, prefix(workload, day)):
        for line in client.get_object(Bucket=bucket, Key=key)["Body"].iter_lines():
            try:
                decision = from_line(line)
            except DecisionError:
                unreadable += 1
            else:
                found[decision.id] = decision
    ordered = sorted(found.values(), key=lambda decision: (decision.event_time, decision.id))
    return Day(day=day, decisions=tuple(ordered), unreadable=unreadable)


def find_decision(
    environment: Environment, names: WorkloadNames, wanted: str, *, first: date | None = None, last: date | None = None
) -> StoredDecision | None:
    """The decision with this id, the newest days first; None when no day has it.

    An id does not say its day: without `first` and `last` every object may have to be read."""
    client, bucket = environment.client("s3"), names.platform.bucket("lake")
    marked = f'"eventId":"{wanted}"'.encode()
    for day in sorted(_days(client, names), reverse=True):
        if (first and day < first) or (last and day > last):
            continue
        kept = None
        for key in _objects(client, bucket, prefix(names.workload, day)):
            for line in client.get_object(Bucket=bucket, Key=key)["Body"].iter_lines():
                if marked in line:
                    kept = StoredDecision(uri=f"s3://{bucket}/{key}", decision=from_line(line))
        if kept:
            return kept
    return None


def newest_decision(environment: Environment, names: WorkloadNames) -> StoredDecision | None:
    """The last line of the newest day that a model answered; None where its last object has none."""
    client, bucket = environment.client("s3"), names.platform.bucket("lake")
    newest = max(_days(client, names), default=None)
    keys = _objects(client, bucket, prefix(names.workload, newest)) if newest else []
    found = None
    for line in client.get_object(Bucket=bucket, Key=keys[-1])["Body"].iter_lines() if keys else ():
        with suppress(DecisionError):
            decision = from_line(line)
            found = (
                StoredDecision(uri=f"s3://{bucket}/{keys[-1]}", decision=decision) if decision.model_version else found
            )
    return found


def size_of_decisions(environment: Environment, names: WorkloadNames, month: str) -> int:
    """Bytes of the decisions about days of the month (yyyy-mm)."""
    bucket, under = names.platform.bucket("lake"), f"{names.workload}/decisions/date={month}"
    return sum(entry["Size"] for entry in entries_below(environment.client("s3"), bucket, under))


def _days(client: Any, names: WorkloadNames) -> Iterator[date]:
    folders = folders_below(client, names.platform.bucket("lake"), f"{names.workload}/decisions/")
    return (date.fromisoformat(folder.removeprefix("date=").rstrip("/")) for folder in folders)


def _objects(client: Any, bucket: str, under: str) -> list[str]:
    """In the order in which they were written, which their names do not tell."""
    entries = entries_below(client, bucket, under)
    return [entry["Key"] for entry in sorted(entries, key=lambda entry: (entry["LastModified"], entry["Key"]))]
