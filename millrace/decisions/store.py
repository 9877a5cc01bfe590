"""Reads the decisions that are kept below `<workload>/decisions/date=…/` in the lake. `columns` reads a job's folder.

Those of requests are JSON lines: a night puts those of a day together into a Parquet file, which `absorbed` explains.
Those of scored files are rows of Parquet files, which `scored` explains.
A line may come twice, and an id may have several lines. The order of objects means nothing, since their names are
digests. So the lines themselves decide: the line with the latest `inferenceTime` counts. Of two lines with the same
time it is the one with the greater text.

    {"eventId": "r-0", "inferenceTime": "…T12:00:00Z", …}    a request that was repeated with its id …
    {"eventId": "r-0", "inferenceTime": "…T12:00:03Z", …}    … and this line counts, in whichever object it lies
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from millrace.aws.objects import RangedObject, download, folders_below, is_gone, read_object
from millrace.decisions import absorbed, scored
from millrace.decisions.absorbed import AbsorbedLines
from millrace.decisions.record import Decision, from_line, prefix, to_line
from millrace.decisions.scored import ScoredDay
from millrace.errors import DecisionError

READERS = 10
"""The most objects that are read at once. A boto3 client keeps so many connections open."""
AHEAD = 40
"""The most objects with lines that wait to be parsed. A window's lines are some hundred kilobytes, or some megabytes at
hundreds of decisions a second."""


@dataclass(frozen=True, kw_only=True)
class StoredDecisions:
    """One decision for each id, and the number of lines that are no decisions, and of scored files that are gone."""

    decisions: tuple[Decision, ...]
    """In the order of event time and id."""
    unreadable: int


@dataclass(frozen=True, kw_only=True)
class LocatedDecision:
    """A decision, and the address of the object that holds its line or its row."""

    uri: str
    decision: Decision
    scored: ScoredDay | None = None
    """Of a decision in a scored file: what its reference says."""


@dataclass(frozen=True, kw_only=True)
class StoredObjects:
    """The objects that hold the decisions of some days, or name a file that does."""

    lines: tuple[str, ...]
    """The keys of objects with lines, but for those that have been absorbed."""
    absorbed: Mapping[str, AbsorbedLines]
    """The references to files of absorbed lines, by key."""
    scored: tuple[str, ...]
    """The keys of references to scored files."""
    bytes: int
    """The size of all objects of these days."""

    @property
    def keys(self) -> list[str]:
        """All of them, in order."""
        return sorted([*self.lines, *self.absorbed, *self.scored])

    def files(self, workload: str) -> list[str]:
        """The keys of the files that they name, each once."""
        drops = dict.fromkeys(named[1] for key in self.scored if (named := scored.referenced(key)))
        delivered = (scored.delivered_key(workload, drop) for drop in drops)
        return [*map(absorbed.file_of, self.absorbed), *delivered]


def read_lines(lines: Iterable[str | bytes]) -> StoredDecisions:
    """The decisions of these lines, which may come in any order."""
    found: list[Decision] = []
    unreadable = 0
    for line in lines:
        try:
            found.append(from_line(line))
        except DecisionError:
            unreadable += 1
    return _stored(found, unreadable)


def read_days(
    client: Any,
    bucket: str,
    workload: str,
    days: Collection[date],
    *,
    most_scored: int = scored.MOST_ROWS,
) -> StoredDecisions:
    """The decisions with an event time on one of the days (UTC). `client` is boto3's S3 client.

    Each is an object of 1.7 kB: of many decisions `columns.read_parts` makes tables. Of a scored file about
    `most_scored` rows are read: with 0 the file is left out."""
    stored = stored_objects(client, bucket, workload, days)
    lines = read_lines(line for _, lines in _lines_by_object(client, bucket, stored) for line in lines)
    names = stored.scored if most_scored else ()
    references = dict(zip(names, bodies_of(client, bucket, names), strict=True))
    rows, gone = list(lines.decisions), 0
    for drop, about in days_by_drop(references).items():
        with delivered_file(client, bucket, workload, drop) as file:
            if file is None:
                gone += len(about)
                continue
            rows += scored.read_rows(file, about, workload=workload, drop_id=drop, most=most_scored)
    return _stored(rows, lines.unreadable + gone) if names else lines


def find_decision(client: Any, bucket: str, workload: str, wanted: str, days: Iterable[date]) -> LocatedDecision | None:
    """The decision with the id `wanted`, on the first of the days that has it; None if no day has it."""
    days = list(days)
    located = _find_scored(client, bucket, workload, wanted, days)
    return located or find_answered(client, bucket, workload, wanted, days)


def find_answered(client: Any, bucket: str, workload: str, wanted: str, days: Iterable[date]) -> LocatedDecision | None:
    """The same among the decisions that have lines, absorbed ones too. Those of scored files have none."""
    # A search for bytes saves parsing all lines of a day. It relies on `to_line`, which writes no space behind a colon.
    marked = f'"eventId":"{wanted}"'.encode()
    for day in days:
        stored = stored_objects(client, bucket, workload, [day])
        bodies = zip(stored.lines, bodies_of(client, bucket, stored.lines), strict=True)
        lines: list[tuple[str, str | bytes]]
        lines = [(key, line) for key, body in bodies if marked in body for line in body.splitlines() if marked in line]
        for key in map(absorbed.file_of, stored.absorbed):
            with RangedObject(client, bucket, key) as file:
                lines += [(key, line) for line in absorbed.lines_with_id(file, wanted)]
        found = [LocatedDecision(uri=f"s3://{bucket}/{key}", decision=from_line(line)) for key, line in lines]
        if found:
            return max(found, key=lambda located: _order(located.decision))
    return None


def _find_scored(client: Any, bucket: str, workload: str, wanted: str, days: list[date]) -> LocatedDecision | None:
    """The decision with this id, if the id names a row of a scored file and the row is about one of the days."""
    drop, _, number = wanted.rpartition("-")
    if not drop or not (number.isascii() and number.isdecimal()):
        return None
    with delivered_file(client, bucket, workload, drop) as file:
        row = scored.read_row(file, int(number)) if file else None
    if row is None or not row.num_rows:
        return None
    # The day of its event time has its reference. Which column is the event time only the reference says.
    for day in scored.days_of(row).intersection(days):
        for body in _body_if_any(client, bucket, scored.reference_key(workload, day, drop)):
            known = ScoredDay.model_validate_json(body)
            if day in scored.rows_by_day(row.column(known.event_time)):
                (decision,) = scored.decisions(row, {day: known}, workload=workload, drop_id=drop)
                uri = f"s3://{bucket}/{scored.delivered_key(workload, drop)}"
                return LocatedDecision(uri=uri, decision=decision, scored=known)
    return None


def find_unreadable(client: Any, bucket: str, workload: str, day: date) -> dict[str, int]:
    """The number of lines that are no decisions, by the key of their object, for the objects of a day that have any."""
    stored = stored_objects(client, bucket, workload, [day])
    counts = {key: read_lines(lines).unreadable for key, lines in _lines_by_object(client, bucket, stored)}
    return {key: lines for key, lines in counts.items() if lines}


def stored_days(client: Any, bucket: str, workload: str) -> Iterator[date]:
    """The event dates that have decisions, in order."""
    folders = folders_below(client, bucket, f"{workload}/decisions/date=")
    return (date.fromisoformat(folder.rstrip("/")) for folder in folders)


def stored_objects(client: Any, bucket: str, workload: str, days: Collection[date]) -> StoredObjects:
    """The objects of these days. Every reference to absorbed lines is read, and nothing else."""
    keys = dict(_stored_keys(client, bucket, workload, days))
    names = [key for key in keys if absorbed.is_reference(key)]
    read = map(AbsorbedLines.model_validate_json, bodies_of(client, bucket, names))
    references = {key: found for key, found in zip(names, read, strict=True) if found.absorbed_at}
    taken = {f"{key.rpartition('/')[0]}/{name}" for key, found in references.items() for name in found.taken}
    return StoredObjects(
        lines=tuple(key for key in keys if key.endswith(".jsonl") and key not in taken),
        absorbed=references,
        scored=tuple(key for key in keys if scored.referenced(key)),
        bytes=sum(keys.values()),
    )


def _stored_keys(client: Any, bucket: str, workload: str, days: Collection[date]) -> Iterator[tuple[str, int]]:
    """The key and the size of each object below the dates of these days, in order.

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
            yield entry["Key"], entry["Size"]


def _stored(found: Iterable[Decision], unreadable: int) -> StoredDecisions:
    """Of several decisions with one id the greatest counts."""
    kept: dict[str, Decision] = {}
    for decision in found:
        before = kept.get(decision.id)
        if before is None or _order(before) < _order(decision):
            kept[decision.id] = decision
    ordered = sorted(kept.values(), key=lambda decision: (decision.event_time, decision.id))
    return StoredDecisions(decisions=tuple(ordered), unreadable=unreadable)


def days_by_drop(references: Mapping[str, bytes]) -> dict[str, dict[date, ScoredDay]]:
    """What references to scored files say, by drop and day. `references` are their bytes by key or path."""
    found: dict[str, dict[date, ScoredDay]] = defaultdict(dict)
    for key, body in references.items():
        if named := scored.referenced(key):
            day, drop = named
            found[drop][day] = ScoredDay.model_validate_json(body)
    return found


@contextmanager
def delivered_file(client: Any, bucket: str, workload: str, drop: str) -> Iterator[str | None]:
    """The path of the drop's delivered file, for as long as the block runs; None if there is no such object."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "delivered.parquet")
        try:
            download(client, f"s3://{bucket}/{scored.delivered_key(workload, drop)}", path)
        except client.exceptions.ClientError as error:
            if not is_gone(error):
                raise
            yield None
            return
        yield str(path)


def _lines_by_object(client: Any, bucket: str, stored: StoredObjects) -> Iterator[tuple[str, Iterable[str | bytes]]]:
    """The key of each object that has lines, with its lines. They must be read before the next object."""
    yield from zip(stored.lines, map(bytes.splitlines, bodies_of(client, bucket, stored.lines)), strict=True)
    for key in map(absorbed.file_of, stored.absorbed):
        with RangedObject(client, bucket, key) as file:
            yield key, absorbed.read_file(file)


def _order(decision: Decision) -> tuple[datetime, str]:
    """What the lines of one id are compared by: the greatest line counts."""
    return decision.inferred_at, to_line(decision)


def bodies_of(client: Any, bucket: str, keys: Iterable[str]) -> Iterator[bytes]:
    """The bytes of each object, in the order of the keys. READERS are read at once, and AHEAD are held at most."""
    # A day of continuous traffic has 4,320 objects, one for each window of 20 s. One after the other, at 25 ms each,
    # four days of them take longer than a function may run.
    waiting = iter(keys)
    with ThreadPoolExecutor(READERS) as readers:
        while ahead := list(islice(waiting, AHEAD)):
            yield from readers.map(lambda key: read_object(client, f"s3://{bucket}/{key}"), ahead)


def _body_if_any(client: Any, bucket: str, key: str) -> Iterator[bytes]:
    """The object's bytes; nothing if there is no such object."""
    try:
        yield client.get_object(Bucket=bucket, Key=key)["Body"].read()
    except client.exceptions.ClientError as error:
        if not is_gone(error):
            raise
        return
