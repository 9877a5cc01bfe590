"""Which drops of labels a version has learnt from, who has sent and accepted them, and which versions learnt from one.

A training reads the table of labels first: its rows then say which snapshot of the labels that was. So a version knows
every drop up to that snapshot, and a drop every version whose rows came after it."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from console.environment import Environment
from console.queries.labels import KnownLabel
from console.queries.table_files import read_metadata
from console.queries.versions import registry_of
from millrace.aws.objects import read_object
from millrace.datasets.journal import Journal, JournalEntry
from millrace.datasets.notes import LABELS, LABELS_SNAPSHOT
from millrace.monitoring.label_batch import LabelBatch
from millrace.names import WorkloadNames

REVIEW = "/labels/review/"
"""The folder of answers of the review queue."""


@dataclass(frozen=True, kw_only=True)
class LearntDrop:
    """A drop of labels that is in the table."""

    entry: JournalEntry
    versions: tuple[str, ...] = ()
    """The versions whose training has read it, the oldest first."""

    @property
    def learners(self) -> str:
        """`learnt by version 2, 3`."""
        known = ", ".join(self.versions)
        return f"learnt by version {known}" if known else "no version has learnt from it yet"

    @property
    def words(self) -> str:
        """`1,488 labels, sent by user/ann, accepted by user/bob`."""
        batch = LabelBatch.parse(self.entry.notes[LABELS]) if LABELS in self.entry.notes else LabelBatch(labels=0)
        people = {"sent by": batch.by, "accepted by": batch.accepted_by}
        said = [f"{how} {who.rpartition(':')[2]}" for how, who in people.items() if who]
        return ", ".join([f"{self.entry.rows_added:,} labels", *said])


def learnt_drops(
    environment: Environment, names: WorkloadNames, entries: Iterable[JournalEntry]
) -> Iterator[LearntDrop]:
    """The drops of labels that a dataset version has read; `entries` are those of its rows.

    Answers of the review queue are left out: each is a drop of its own, and the audit has its person."""
    read = {int(entry.notes[LABELS_SNAPSHOT]) for entry in entries if LABELS_SNAPSHOT in entry.notes}
    journal = _journal(environment, names, "labels") if read else None
    if journal is None:
        return
    last = max((entry.place for entry in journal if entry.snapshot_id in read), default=-1)
    yield from (LearntDrop(entry=entry) for entry in _drops(journal) if entry.place <= last and REVIEW not in entry.key)


def find_learners(
    environment: Environment, names: WorkloadNames, labels: Sequence[KnownLabel]
) -> list[LearntDrop | None]:
    """The drop of each label, with the versions that have learnt from it before a later label replaced it.

    None for a label of no drop, such as a later row. `labels` are those of one decision, in the order in which they
    came."""
    came = _journal(environment, names, "labels") if labels else None
    rows = _journal(environment, names, "rows") if came else None
    if came is None or rows is None:
        return [None] * len(labels)
    drops = {entry.key: entry for entry in _drops(came)}
    places = {str(entry.snapshot_id): entry.place for entry in came}
    read = [
        (places.get(entry.notes[LABELS_SNAPSHOT], -1), entry.place) for entry in rows if LABELS_SNAPSHOT in entry.notes
    ]
    pinned = {str(entry.snapshot_id): entry.place for entry in rows}
    trained = [
        (int(package.version), pinned.get(package.metadata.get("snapshot_id", ""), -1))
        for package in registry_of(environment, names).all()
    ]
    found: list[LearntDrop | None] = []
    later: dict[float, set[int]] = defaultdict(set)
    for label in reversed(labels):
        entry = drops.get(label.drop)
        at = entry.place if entry else math.inf
        since = min((place for of_labels, place in read if of_labels >= at), default=math.inf)
        own = {number for number, place in trained if place >= since}
        versions = tuple(map(str, sorted(own - later[label.hours])))
        found.append(LearntDrop(entry=entry, versions=versions) if entry else None)
        later[label.hours] |= own
    return found[::-1]


def _drops(journal: Journal) -> Iterator[JournalEntry]:
    return (entry for entry in journal if entry.is_first and entry.rows_added and entry.uri.startswith("s3://"))


def _journal(environment: Environment, names: WorkloadNames, table: str) -> Journal | None:
    metadata = read_metadata(environment, names, table)
    return Journal.of_metadata(metadata, partial(read_object, environment.client("s3"))) if metadata else None
