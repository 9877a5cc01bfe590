"""Compares the labels of rows with those that the live model was trained on: the same rows, then and now."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyiceberg.table import Table as IcebergTable

from millrace.contract.kinds import FLOATS
from millrace.contract.schema import ARRIVED, SOURCE
from millrace.datasets.journal import JournalEntry
from millrace.datasets.labelled_rows import PORTION_ROWS, Portions, join
from millrace.datasets.labels import LabelColumns, current, differs, places
from millrace.datasets.new_rows import extremes, rows_within
from millrace.datasets.tables import Lake
from millrace.datasets.versions import Pin, pins
from millrace.workload.declaration import Prediction

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class LabelChange:
    """How far the labels of the same rows have changed."""

    labelled: int = 0
    """Rows that had a label then and are there now."""
    rows: int = 0
    """Those with another label now."""
    moved: float | None = 0.0
    """The most by which the error of any model on these rows can have moved with their labels.

    Of classes it is a share of the rows. Of numbers it is the mean absolute difference of the labels, as a share of
    their mean distance from their mean. None if labels moved that were all equal before."""
    unmeasured: int = 0
    """Corrected numbers that are missing now, or not finite then or now. They count in `rows`, not in `moved`."""
    first_unmeasured: str = ""
    """The first of them: `timestamp 1997-05-01 00:30:00, target inf, before 5.0`."""

    @property
    def share(self) -> float:
        return self.rows / self.labelled if self.labelled else 0.0


def label_change(lake: Lake, prediction_spec: Prediction, *, trained_by: str, pinned_by: str = "") -> LabelChange:
    """The labels that a training would have now, beside those of the run `trained_by`.

    Without such a run they are compared with those of the newest version, or with the rows' own. If the run `pinned_by`
    is given, its labels count in place of those of now. By the triangle inequality the difference of the labels bounds
    how far an error can have moved, so no model is needed."""
    rows, now = lake.find("rows"), Pin.of_now(lake)
    if rows is None or now is None:
        return LabelChange()
    here = Pin.of(rows.metadata, pinned_by) or now
    # Without the version of that run the newest other one counts; without any, the rows with their own labels.
    others = [pin for tag, pin in pins(rows.metadata).items() if tag != pinned_by]
    newest = others[-1] if others else Pin(rows=here.rows, labels=None)
    before = Pin.of(rows.metadata, trained_by) or newest
    snapshot = rows.snapshot_by_id(here.rows)
    count = JournalEntry.of(snapshot).rows_total if snapshot is not None else 0
    if before == here:
        return LabelChange(labelled=count)
    # A key falls to the same portion of both snapshots. Where there were no rows then, none is read now.
    key, time = prediction_spec.key, prediction_spec.event_time
    portions = Portions.of(rows, key, time, rows=PORTION_ROWS, snapshot=before.rows)

    def labels() -> Iterator[tuple[pa.Table, pa.Table]]:
        for number in range(len(portions)):
            then = _labels_at(lake, rows, before, prediction_spec, portions, number)
            if then.num_rows:
                yield then, _labels_at(lake, rows, here, prediction_spec, portions, number)

    return compare(lake, prediction_spec, labels())


def _labels_at(
    lake: Lake, rows: IcebergTable, pin: Pin, prediction_spec: Prediction, portions: Portions, number: int
) -> pa.Table:
    """The keys of a portion of the rows with the labels that counted by the pin."""
    columns = LabelColumns.of(prediction_spec, lake.names.workload)
    found = portions.read(rows, columns.read, number, snapshot=pin.rows)
    if pin.labels is not None:
        found = join(lake, columns, found, labels_snapshot=pin.labels).joined()
    return found.select((*columns.key, *columns.values))


def compare(lake: Lake, prediction_spec: Prediction, labels: Iterable[Sequence[pa.Table]]) -> LabelChange:
    """The change of the labels of rows with the same key, in portions of two tables each: then and now.

    A row without a label then has none that could change."""
    key, values = prediction_spec.key, prediction_spec.label_columns
    name, *_ = values  # several labels are booleans
    is_number = lake.contract.rows.column(name).kind in FLOATS
    found, was, has = LabelChange(), list["Numbers"](), list["Numbers"]()
    for then, now in labels:
        at = places(now, then, key)
        held = np.flatnonzero(at >= 0)
        new, old = now.take(pa.array(held)), then.take(pa.array(at[held]))
        whole = [old.column(name).is_valid().to_numpy(zero_copy_only=False) for name in values]
        labelled = np.logical_and.reduce(whole)
        corrected = differs(new, old, values) & labelled
        both = (found.labelled + int(labelled.sum()), found.rows + int(corrected.sum()))
        found = replace(found, labelled=both[0], rows=both[1])
        if not is_number:
            continue
        before, after = (part.column(name).to_numpy(zero_copy_only=False) for part in (old, new))
        lost = np.flatnonzero(corrected & ~(np.isfinite(before) & np.isfinite(after)))
        if len(lost) and not found.unmeasured:
            # The rest of the key may name a person, whom nobody could erase in the audit.
            moment = {one: new[one][lost[0]].as_py() for one in key if one == prediction_spec.event_time}
            cells = moment | {name: after[lost[0]], "before": before[lost[0]]}
            found = replace(found, first_unmeasured=", ".join(f"{column} {cell}" for column, cell in cells.items()))
        found = replace(found, unmeasured=found.unmeasured + len(lost))
        was.append(before[labelled])
        has.append(after[labelled])
    if not was:
        return replace(found, moved=found.share)
    distance = _distance(np.concatenate(was), np.concatenate(has))
    return replace(found, moved=None if distance is None else max(found.share, distance))


@dataclass(frozen=True, kw_only=True)
class KnownLabels:
    """How the labels of a batch stand to those that are known, a place for each label."""

    known: npt.NDArray[np.bool_]
    """Whether the key has a label."""
    contradicts: npt.NDArray[np.bool_]
    """Whether that is another one."""
    sources: Mapping[str, int]
    """How many contradicted labels came with which object, by its landing key."""


def compare_known(
    tables: Sequence[IcebergTable | pa.Table], labels: pa.Table, key: tuple[str, ...], values: tuple[str, ...]
) -> KnownLabels:
    """The labels beside those in the first of the tables that has the key.

    The labels of an earlier version of the same object count too."""
    contradicts, is_open = np.zeros(labels.num_rows, dtype=bool), np.ones(labels.num_rows, dtype=bool)
    sources = Counter[str]()
    for table in tables:
        found = table if isinstance(table, pa.Table) else _stored(table, labels, key, values)
        at = places(labels, found, key)
        met = np.flatnonzero((at >= 0) & is_open)
        mine = labels.take(pa.array(met)).select(values).cast(found.select(values).schema)
        theirs = found.take(pa.array(at[met]))
        contradicts[met] = differs(mine, theirs, values)
        if SOURCE in theirs.column_names:
            sources.update(str(one) for one in theirs[SOURCE].filter(pa.array(contradicts[met])).to_pylist())
        is_open[met] = False
    return KnownLabels(known=~is_open, contradicts=contradicts, sources=sources)


def _stored(table: IcebergTable, labels: pa.Table, key: tuple[str, ...], values: tuple[str, ...]) -> pa.Table:
    """The labels that count in the table, between the lowest and the highest key of `labels`."""
    beside = tuple(name for name in (ARRIVED, SOURCE) if name in table.schema().column_names)
    bounds = extremes(labels, key[0])
    found = rows_within(table, key[0], bounds, (*key, *values, *beside), but_of="", filled=values)
    # Of the labels with one key the last one counts; rows have one each.
    return current(found, key, values)


def _distance(was: Numbers, has: Numbers) -> float | None:
    """The mean absolute difference of numbers, as a share of their mean distance from their mean before.

    Numbers that are not finite, then or now, are left out. None if the others were all equal and differ now."""
    before, both = np.isfinite(was), np.isfinite(was) & np.isfinite(has)
    # Sums of numbers near the end of floating point would be infinite.
    largest = max(np.abs(was[before]).max(initial=0.0), np.abs(has[both]).max(initial=0.0)) or 1.0
    was, has = was / largest, has / largest
    distance = float(np.abs(has[both] - was[both]).sum())
    if not distance:
        return 0.0
    spread = float(np.abs(was[before] - was[before].mean()).sum()) if np.ptp(was[before]) else 0.0
    moved = distance / spread if spread else math.inf
    return moved if math.isfinite(moved) else None
