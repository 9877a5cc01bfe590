"""Compares the labels of rows with those that the live model was trained on: the same rows, then and now."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from millrace.contract.kinds import FLOATS
from millrace.contract.schema import ARRIVED
from millrace.datasets.corrections import current
from millrace.datasets.journal import JournalEntry
from millrace.datasets.new_rows import extremes, rows_within
from millrace.datasets.relabelled_rows import current_labels, differs, places, rows_to_correct
from millrace.datasets.tables import SOURCE, Lake

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa
    from pyiceberg.table import Table as IcebergTable
    from pyiceberg.table.snapshots import Snapshot

    from millrace.workload.declaration import Prediction

    Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class LabelChange:
    """How far the labels of the same rows have changed."""

    labelled: int = 0
    """Rows that had a label then and are there now."""
    corrected: int = 0
    """Those with another label now."""
    moved: float | None = 0.0
    """The most by which the error of any model on these rows can have moved with their labels.

    Of classes it is a share of the rows. Of numbers it is the mean absolute difference of the labels, as a share of
    their mean distance from their mean. None if labels moved that were all equal before."""
    unmeasured: int = 0
    """Corrected numbers that are missing now, or not finite then or now. They count in `corrected`, not in `moved`."""
    first_unmeasured: str = ""
    """The first of them: `timestamp 1997-05-01 00:30:00, target inf, before 5.0`."""

    @property
    def share(self) -> float:
        return self.corrected / self.labelled if self.labelled else 0.0


def label_change(lake: Lake, prediction_spec: Prediction, *, trained_by: str, pinned_by: str = "") -> LabelChange:
    """The labels that a training would have now, corrections that wait included, beside those of the run `trained_by`.

    Without such a run they are compared with the labels in the table. If the run `pinned_by` is given, its labels count
    in place of those of now. By the triangle inequality the difference of the labels bounds how far an error can have
    moved, so no model is needed."""
    import pyarrow as pa

    rows = lake.find("rows")
    newest = rows.current_snapshot() if rows is not None else None
    if rows is None or newest is None:
        return LabelChange()
    here = _pinned(rows, pinned_by)
    waiting = None if here else _waiting(lake, rows, prediction_spec)
    here = here or newest
    before = _pinned(rows, trained_by) or here
    if before == here and waiting is None:
        return LabelChange(labelled=JournalEntry.of(here).rows_total)
    columns = (*prediction_spec.key, *prediction_spec.label_columns)
    then, now = (
        rows.scan(selected_fields=columns, snapshot_id=each.snapshot_id).to_arrow().select(columns)
        for each in (before, here)
    )
    if waiting is not None:
        stays = places(now, waiting, prediction_spec.key) < 0
        now = pa.concat_tables([now.filter(pa.array(stays)), waiting.select(columns).cast(now.schema)])
    return compare(lake, prediction_spec, then, now)


def _waiting(lake: Lake, rows: IcebergTable, prediction_spec: Prediction) -> pa.Table | None:
    """The rows that the next training corrects; None if there are none."""
    labels = current_labels(lake, prediction_spec)
    if labels is None or not labels.num_rows:
        return None
    waiting = rows_to_correct(lake, rows, labels, prediction_spec)
    return waiting if waiting.num_rows else None


def compare(lake: Lake, prediction_spec: Prediction, then: pa.Table, now: pa.Table) -> LabelChange:
    """The change of the labels of rows with the same key. A row without a label then has none that could change."""
    import numpy as np
    import pyarrow as pa

    key, values = prediction_spec.key, prediction_spec.label_columns
    at = places(now, then, key)
    held = np.flatnonzero(at >= 0)
    new, old = now.take(pa.array(held)), then.take(pa.array(at[held]))
    labelled = np.logical_and.reduce([old.column(name).is_valid().to_numpy(zero_copy_only=False) for name in values])
    corrected = differs(new, old, values) & labelled
    share = float(corrected.sum() / max(1, labelled.sum()))
    change = LabelChange(labelled=int(labelled.sum()), corrected=int(corrected.sum()), moved=share)
    name, *_ = values  # several labels are booleans
    if lake.contract.rows.column(name).kind not in FLOATS:
        return change
    was, has = (part.column(name).to_numpy(zero_copy_only=False) for part in (old, new))
    distance = _distance(was[labelled], has[labelled])
    lost = np.flatnonzero(corrected & ~(np.isfinite(was) & np.isfinite(has)))
    first = [{**new.select(key).slice(at, 1).to_pylist()[0], name: has[at], "before": was[at]} for at in lost[:1]]
    return replace(
        change,
        moved=None if distance is None else max(share, distance),
        unmeasured=len(lost),
        first_unmeasured=", ".join(f"{column} {cell}" for cells in first for column, cell in cells.items()),
    )


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
    import numpy as np
    import pyarrow as pa

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
    import numpy as np

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


def _pinned(iceberg: IcebergTable, run: str) -> Snapshot | None:
    """The snapshot that the run was trained on: its tag has the name of the run."""
    return iceberg.snapshot_by_name(run) if run and run in iceberg.refs() else None
