"""The labels that came for decisions: which counts, which were replaced, who has learnt from which, which are doubted.

A version pins a snapshot of the labels: it knows every drop up to that, and a drop every version that pinned later."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import product
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.table import Table as IcebergTable
from pyiceberg.table.metadata import TableMetadata

from millrace.aws.objects import read_object
from millrace.console.environment import Environment
from millrace.console.queries.monitoring import find_monitor_runs
from millrace.console.queries.reviews import find_items
from millrace.console.queries.stored import changed_rows, iceberg_table, read_metadata
from millrace.console.queries.versions import registry_of
from millrace.contract.deduplicate import key_of
from millrace.contract.load import load_contract
from millrace.contract.schema import ARRIVED, PREDICTION_ID, SOURCE
from millrace.datasets.journal import Journal, JournalEntry
from millrace.datasets.labels import last_of_each
from millrace.datasets.notes import LABELS, REPLACED, WITHDRAWN, WITHDRAWN_DROP
from millrace.datasets.versions import Pin
from millrace.decisions.columns import of_decisions
from millrace.decisions.labelled import SHAPE
from millrace.decisions.outcome_columns import keys_of
from millrace.decisions.record import Decision
from millrace.decisions.review import ReviewItem
from millrace.messages.asked_labels import LabelDoubted
from millrace.monitoring.label_batch import LabelBatch
from millrace.names import WorkloadNames
from millrace.workload.declaration import Prediction
from millrace.workload.load import load_workload, workloads_folder

COUNTS = "_counts"
"""The column that says whether a label counts."""
REVIEW = "/labels/review/"
"""The folder of answers of the review queue."""
LOOKED_AT = 50
"""The newest monitor runs whose reports are read for labels that a model doubts."""


@dataclass(frozen=True, kw_only=True)
class KnownLabel:
    """One label of a decision."""

    value: Any
    """The label's value; a value by column if a row has several labels."""
    counts: bool
    """False for a label that a later one replaced."""
    arrived: datetime | None
    """When it came, UTC; None for a label from before this was recorded."""
    drop: str
    """The landing key of the file that it came with."""
    hours: float
    """How many hours the label lies ahead of the decision's row."""


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


@dataclass(frozen=True, kw_only=True)
class DoubtedLabel:
    """One label that a model contradicts."""

    label: LabelDoubted
    version: str
    """The model's."""
    item: ReviewItem | None
    """The question that a person got about the decision; None if nobody was asked."""

    @property
    def outcome(self) -> Literal["not asked", "asked before", "waits", "unanswered", "confirmed", "corrected"]:
        """`asked before`: a person gave it. `confirmed`: a person who did not know the label gave the same one."""
        if self.item is None:
            return "not asked"
        if self.item.reason != "label_error":
            return "asked before"
        if self.item.answer is None:
            return "waits" if self.item.status == "waiting" else "unanswered"
        value = self.item.answer.value
        return "confirmed" if (list(value) if isinstance(value, tuple) else value) == self.label.label else "corrected"


def find_labels(
    environment: Environment, names: WorkloadNames, decisions: Sequence[Decision]
) -> dict[str, tuple[KnownLabel, ...]]:
    """The labels of each decision, by the decision's id: sorted by horizon, then in the order in which they came.

    Labels of overwritten files are among the replaced ones until their snapshots expire. A label that was withdrawn is
    left out. A label that names no decision belongs to every decision about its row, although monitors count only the
    first one. So what is found for one decision does not depend on the others."""
    folder = workloads_folder() / names.workload
    prediction_spec, table = load_workload(folder).prediction, load_contract(folder).labels
    rows = _rows(environment, names, prediction_spec)
    if rows is None or not decisions:
        return {}
    # `_near` only narrows the search down; the keys decide which label belongs to which decision.
    near, horizons = _near(rows, prediction_spec, decisions), prediction_spec.horizons
    keys = keys_of(of_decisions(decisions, SHAPE), near, prediction_spec, table, hours=horizons)
    found: dict[str, list[KnownLabel]] = {}
    # A row is the label of a decision at each horizon before it.
    for at, (hours, row) in enumerate(product(horizons, near.to_pylist())):
        for place in keys.places(at):
            found.setdefault(decisions[place].id, []).append(_label(row, prediction_spec, hours))
    return {name: tuple(sorted(labels, key=_order)) for name, labels in found.items()}


def _label(row: Mapping[str, Any], prediction_spec: Prediction, hours: float) -> KnownLabel:
    cells = {name: row[name] for name in prediction_spec.label_columns}
    value = cells if prediction_spec.labels else cells[prediction_spec.label]
    return KnownLabel(value=value, counts=row[COUNTS], arrived=row.get(ARRIVED), drop=row[SOURCE], hours=hours)


def _order(label: KnownLabel) -> tuple[float, float, bool]:
    return label.hours, label.arrived.timestamp() if label.arrived else 0.0, label.counts


def _near(rows: pa.Table, prediction_spec: Prediction, decisions: Sequence[Decision]) -> pa.Table:
    """The rows that may be a label of one of the decisions: by the first column of its key, its time, or its id."""
    ids = pa.array([decision.id for decision in decisions], pa.string())
    near = pc.is_in(rows[PREDICTION_ID], value_set=ids) if PREDICTION_ID in rows.column_names else pa.scalar(False)
    # With an entity in the key, rows of the same entities are near; without one, rows within the decisions' horizons.
    entity = next((name for name in prediction_spec.key if name != prediction_spec.event_time), None)
    if entity is not None:
        cells = pa.array([str(decision.key.get(entity)) for decision in decisions], pa.string())
        return rows.filter(pc.or_(near, pc.is_in(pc.cast(rows[entity], pa.string()), value_set=cells)))
    moments = [decision.event_time.replace(tzinfo=None) for decision in decisions]
    first = min(moments) + timedelta(hours=prediction_spec.horizons[0])
    last = max(moments) + timedelta(hours=prediction_spec.horizons[-1])
    times = rows[prediction_spec.event_time].cast(pa.timestamp("us"))
    inside = pc.and_(pc.greater_equal(times, pa.scalar(first)), pc.less_equal(times, pa.scalar(last)))
    return rows.filter(pc.or_(near, inside))


def _rows(environment: Environment, names: WorkloadNames, prediction_spec: Prediction) -> pa.Table | None:
    """Every label that came, with the column `_counts`; None before the first label.

    If the label lies ahead, a later row of the table `rows` is a label too, unless its label came as such."""
    parts = list(_of_labels(environment, names, prediction_spec))
    later = iceberg_table(environment, names, "rows") if "rows" in prediction_spec.label_tables else None
    if later:
        rows = later.scan().to_arrow()
        rows = rows.filter(pc.is_valid(rows[prediction_spec.label]))
        columns = {*prediction_spec.key, prediction_spec.event_time, prediction_spec.label, ARRIVED, SOURCE}
        rows = rows.select([name for name in rows.column_names if name in columns])
        # Rows of the table whose label came by the feed `labels` would be listed twice.
        told = [key_of(part, prediction_spec.key) for part in parts]
        if told:
            known = pa.chunked_array(told).combine_chunks()
            rows = rows.filter(pc.invert(pc.is_in(key_of(rows, prediction_spec.key), value_set=known)))
        parts.append(rows.append_column(COUNTS, pa.repeat(pa.scalar(True), rows.num_rows)))
    return pa.concat_tables(parts, promote_options="permissive") if parts else None


def _of_labels(environment: Environment, names: WorkloadNames, prediction_spec: Prediction) -> Iterator[pa.Table]:
    """The labels that came by the feed `labels`: those in the table, and those of files that were overwritten."""
    if (labels := iceberg_table(environment, names, "labels")) is None:
        return
    # A table may have several labels of one key. The last that came counts.
    rows = labels.scan().to_arrow()
    counts = np.zeros(rows.num_rows, dtype=bool)
    counts[last_of_each(rows, prediction_spec.key, prediction_spec.label_columns)] = True
    yield rows.append_column(COUNTS, pa.array(counts))
    for part in _overwritten(labels, prediction_spec.key):
        yield part.append_column(COUNTS, pa.repeat(pa.scalar(False), part.num_rows))


def _overwritten(labels: IcebergTable, key: tuple[str, ...]) -> list[pa.Table]:
    """The rows of files that a later version replaced. They left the table in the snapshot before that version's
    snapshot.

    Rows that were withdrawn later are left out, and so are rows whose snapshot has expired."""
    rows: list[pa.Table] = []
    for snapshot in labels.snapshots():
        notes = JournalEntry.of(snapshot).notes
        if rows and WITHDRAWN in notes:
            drop = notes.get(WITHDRAWN_DROP, "")
            # By keys: the rows of the files that left, without those of the files that took their place.
            left, kept = changed_rows(labels, snapshot.parent_snapshot_id, snapshot.snapshot_id)
            gone = [] if drop else [_without(left, [kept], key)]
            rows = [_without(one.filter(pc.not_equal(one[SOURCE], drop)), gone, key) for one in rows]
        if (replaced := notes.get(REPLACED)) and snapshot.parent_snapshot_id is not None:
            # A file of the table that left may also have rows of other drops, which are in the file that took its
            # place.
            parent = labels.snapshot_by_id(snapshot.parent_snapshot_id)
            left, _ = changed_rows(labels, parent.parent_snapshot_id if parent else None, snapshot.snapshot_id)
            rows.append(left.filter(pc.equal(left[SOURCE], replaced)))
    return rows


def _without(rows: pa.Table, others: Sequence[pa.Table], key: tuple[str, ...]) -> pa.Table:
    """The rows whose key none of the others has."""

    # Keys are made of all at once, so that they are comparable.
    keys = key_of(pa.concat_tables([each.select(key) for each in (rows, *others)], promote_options="permissive"), key)
    return rows.filter(pc.invert(pc.is_in(keys[: rows.num_rows], value_set=keys[rows.num_rows :])))


def learnt_drops(environment: Environment, names: WorkloadNames, pin: Pin) -> Iterator[LearntDrop]:
    """The drops of labels that a dataset version has pinned.

    Answers of the review queue are left out: each is a drop of its own, and the audit has its person."""
    journal = find_journal(environment, names, "labels") if pin.labels is not None else None
    if journal is None:
        return
    last = _places(journal).get(pin.labels, -1)
    yield from (LearntDrop(entry=entry) for entry in _drops(journal) if entry.place <= last and REVIEW not in entry.key)


def find_learners(
    environment: Environment, names: WorkloadNames, labels: Sequence[KnownLabel]
) -> list[LearntDrop | None]:
    """The drop of each label, with the versions that have learnt from it before a later label replaced it.

    None for a label of no drop, such as a later row. `labels` are those of one decision, in the order in which they
    came."""
    came = find_journal(environment, names, "labels") if labels else None
    if came is None:
        return [None] * len(labels)
    drops, places = {entry.key: entry for entry in _drops(came)}, _places(came)
    rows = read_metadata(environment, names, "rows")
    trained = [(version, places.get(pin.labels, -1)) for version, pin in find_trainings(environment, names, rows)]
    return learnt_from(labels, drops, trained)


def find_trainings(environment: Environment, names: WorkloadNames, rows: TableMetadata | None) -> list[tuple[int, Pin]]:
    """Each model version with what its training has read, as far as the table `rows` still pins it."""
    if rows is None:
        return []
    packages = registry_of(environment, names).all()
    pinned = ((int(each.version), Pin.of(rows, each.metadata.get("tag", ""))) for each in packages)
    return sorted((version, pin) for version, pin in pinned if pin is not None)


def learnt_from(
    labels: Sequence[KnownLabel], drops: Mapping[str, JournalEntry], trained: Sequence[tuple[int, int]]
) -> list[LearntDrop | None]:
    """The same by the drops' entries, and by the versions that were trained, each with the place of its newest drop."""
    found: list[LearntDrop | None] = []
    later: dict[float, set[int]] = defaultdict(set)
    for label in reversed(labels):
        entry = drops.get(label.drop)
        own = {number for number, place in trained if entry and place >= entry.place}
        versions = tuple(map(str, sorted(own - later[label.hours])))
        found.append(LearntDrop(entry=entry, versions=versions) if entry else None)
        later[label.hours] |= own
    return found[::-1]


def _places(journal: Journal) -> dict[int | None, int]:
    """The place of each snapshot."""
    return {entry.snapshot_id: entry.place for entry in journal}


def _drops(journal: Journal) -> Iterator[JournalEntry]:
    return (entry for entry in journal if entry.is_first and entry.rows_added and entry.uri.startswith("s3://"))


def find_journal(environment: Environment, names: WorkloadNames, table: str) -> Journal | None:
    """The journal of the table `rows` or `labels`; None before a commit."""
    metadata = read_metadata(environment, names, table)
    return Journal.of_metadata(metadata, partial(read_object, environment.client("s3"))) if metadata else None


def find_label_errors(environment: Environment, names: WorkloadNames) -> list[DoubtedLabel]:
    """The doubted labels of the newest monitor runs, the newest run first, and the worst of each run first."""
    runs = find_monitor_runs(environment, names, limit=LOOKED_AT)
    told = [
        (one, run.report.model_version)
        for run in sorted(runs, key=lambda run: run.started, reverse=True)
        if run.report.label_errors
        for one in run.report.label_errors.doubted
    ]
    items = find_items(environment, names, [one.id for one, _ in told])
    return [DoubtedLabel(label=one, version=version, item=items.get(one.id)) for one, version in told]
