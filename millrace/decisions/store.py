"""Reads the decisions that are kept: JSON lines below `<workload>/decisions/date=…/`, in the lake or in a job's folder.

A line may come twice, and an id may have several lines. The order of objects means nothing, since their names are
digests. So the lines themselves decide: the line with the latest `inferenceTime` counts. Of two lines with the same
time it is the one with the greater text.

    {"eventId": "r-0", "inferenceTime": "…T12:00:00Z", …}    a request that was repeated with its id …
    {"eventId": "r-0", "inferenceTime": "…T12:00:03Z", …}    … and this line counts, in whichever object it lies
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from millrace.aws.objects import folders_below
from millrace.decisions.record import Decision, from_line, prefix, to_line
from millrace.errors import DecisionError

READERS = 10
"""Objects that are read at once. A boto3 client keeps so many connections open."""
AHEAD = 200
"""The most objects with lines that wait to be parsed. A window's lines are some hundred kilobytes."""


@dataclass(frozen=True, kw_only=True)
class StoredDecisions:
    """One decision for each id, and the number of lines that are no decisions."""

    decisions: tuple[Decision, ...]
    """In the order of event time and id."""
    unreadable: int


@dataclass(frozen=True, kw_only=True)
class LocatedDecision:
    """A decision, and the address of the object that holds its line."""

    uri: str
    decision: Decision


def read_lines(lines: Iterable[bytes]) -> StoredDecisions:
    """The decisions of these lines, which may come in any order."""
    found: dict[str, Decision] = {}
    unreadable = 0
    for line in lines:
        try:
            decision = from_line(line)
        except DecisionError:
            unreadable += 1
            continue
        before = found.get(decision.id)
        if before is None or _order(before) < _order(decision):
            found[decision.id] = decision
    ordered = sorted(found.values(), key=lambda decision: (decision.event_time, decision.id))
    return StoredDecisions(decisions=tuple(ordered), unreadable=unreadable)


def read_folder(folder: Path) -> StoredDecisions:
    """The decisions in the `.jsonl` files below the folder."""
    paths = sorted(folder.rglob("*.jsonl"))
    return read_lines(line for path in paths for line in path.read_bytes().splitlines())


def read_days(client: Any, bucket: str, workload: str, days: Collection[date]) -> StoredDecisions:
    """The decisions with an event time on one of the days (UTC). `client` is boto3's S3 client."""
    found = _objects(client, bucket, stored_keys(client, bucket, workload, days))
    return read_lines(line for lines in found for line in lines)


def find_decision(client: Any, bucket: str, workload: str, wanted: str, days: Iterable[date]) -> LocatedDecision | None:
    """The decision with the id `wanted`, on the first of the days that has it; None if no day has it."""
    # A search for bytes saves parsing all lines of a day. It relies on `to_line`, which writes no space behind a colon.
    marked = f'"eventId":"{wanted}"'.encode()
    for day in days:
        found = [
            LocatedDecision(uri=f"s3://{bucket}/{key}", decision=from_line(line))
            for key in stored_keys(client, bucket, workload, [day])
            for line in _lines(client, bucket, key)
            if marked in line
        ]
        if found:
            return max(found, key=lambda located: _order(located.decision))
    return None


def find_unreadable(client: Any, bucket: str, workload: str, day: date) -> dict[str, int]:
    """The number of lines that are no decisions, by the key of their object, for the objects of a day that have any."""
    keys = list(stored_keys(client, bucket, workload, [day]))
    found = zip(keys, _objects(client, bucket, iter(keys)), strict=True)
    counts = {key: read_lines(lines).unreadable for key, lines in found}
    return {key: lines for key, lines in counts.items() if lines}


def stored_days(client: Any, bucket: str, workload: str) -> Iterator[date]:
    """The event dates that have decisions, in order."""
    folders = folders_below(client, bucket, f"{workload}/decisions/")
    return (date.fromisoformat(folder.removeprefix("date=").rstrip("/")) for folder in folders)


def stored_keys(client: Any, bucket: str, workload: str, days: Collection[date]) -> Iterator[str]:
    """The keys of all objects with decisions of these days, in order.

    One listing begins at the first day and ends behind the last one. It takes a call for a thousand objects, and none
    for a day without decisions."""
    if not days:
        return
    # Keys sort by day. The prefix of the first day without its slash sorts before all keys of that day, so the listing
    # starts after it. The first key beyond the last day ends it. Days in between that are not wanted are skipped.
    under = f"{workload}/decisions/date="
    wanted, last = {prefix(workload, day) for day in days}, prefix(workload, max(days))
    pages = client.get_paginator("list_objects_v2").paginate(
        Bucket=bucket, Prefix=under, StartAfter=prefix(workload, min(days)).rstrip("/")
    )
    for entry in (entry for page in pages for entry in page.get("Contents", ())):
        folder = entry["Key"].rsplit("/", 1)[0] + "/"
        if folder > last:
            return
        if folder in wanted:
            yield entry["Key"]


def _order(decision: Decision) -> tuple[datetime, str]:
    """What the lines of one id are compared by: the greatest line counts."""
    return decision.inferred_at, to_line(decision)


def _objects(client: Any, bucket: str, keys: Iterator[str]) -> Iterator[list[bytes]]:
    """The lines of each object, in the order of the keys. READERS are read at once, and AHEAD are held at most."""
    # A day of continuous traffic has 4,320 objects, one for each window of 20 s. One after the other, at 25 ms each,
    # four days of them take longer than a function may run.
    with ThreadPoolExecutor(READERS) as readers:
        while ahead := list(islice(keys, AHEAD)):
            yield from readers.map(lambda key: _lines(client, bucket, key), ahead)


def _lines(client: Any, bucket: str, key: str) -> list[bytes]:
    body: bytes = client.get_object(Bucket=bucket, Key=key)["Body"].read()
    return body.splitlines()
