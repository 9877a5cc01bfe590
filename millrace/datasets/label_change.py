"""Compares the labels of rows with those that the live model was trained on: the same rows, then and now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from millrace.contract.kinds import FLOATS
from millrace.datasets.journal import JournalEntry
from millrace.datasets.relabelled_rows import current_labels, differs, places, rows_to_correct
from millrace.datasets.tables import Lake

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.table import Table as IcebergTable
    from pyiceberg.table.snapshots import Snapshot

    from millrace.workload.declaration import Prediction


@dataclass(frozen=True, kw_only=True)
class LabelChange:
    """How far the labels of the same rows have changed."""

    labelled: int = 0
    """Rows that had a label then and are there now."""
    corrected: int = 0
    """Those with another label now."""
    moved: float = 0.0
    """The most by which the error of any model on these rows can have moved with their labels.

    Of classes it is a share of the rows. Of numbers it is the mean absolute difference of the labels, as a share of
    their mean distance from their mean."""

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
    current = rows.current_snapshot() if rows is not None else None
    if rows is None or current is None:
        return LabelChange()
    here = _pinned(rows, pinned_by)
    waiting = None if here else _waiting(lake, rows, prediction_spec)
    here = here or current
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
    corrected = int((differs(new, old, values) & labelled).sum())
    moved = corrected / max(1, int(labelled.sum()))
    for name in values:
        if lake.contract.rows.column(name).kind in FLOATS:
            was, has = (part.column(name).to_numpy(zero_copy_only=False)[labelled] for part in (old, new))
            spread = np.abs(was - was.mean()).sum() if len(was) else 0.0
            distance = np.abs(has - was).sum()
            # A label that has gone, or became infinite, moves the error without bound.
            if distance != 0:
                moved = max(moved, float(distance / spread) if spread and np.isfinite(distance) else np.inf)
    return LabelChange(labelled=int(labelled.sum()), corrected=corrected, moved=float(moved))


def _pinned(iceberg: IcebergTable, run: str) -> Snapshot | None:
    """The snapshot that the run was trained on: its tag has the name of the run."""
    return iceberg.snapshot_by_name(run) if run and run in iceberg.refs() else None
