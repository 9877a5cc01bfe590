"""The labels that came for decisions: the label that counts, and the labels that it replaced."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import product
from typing import TYPE_CHECKING, Any

from console.environment import Environment
from console.queries.overwritten_labels import overwritten_labels
from console.queries.table_files import data_files, read_metadata, read_rows
from millrace.contract.deduplicate import key_of
from millrace.contract.load import load_contract
from millrace.contract.schema import ARRIVED, PREDICTION_ID
from millrace.datasets.corrections import last_of_each
from millrace.datasets.tables import SOURCE
from millrace.names import WorkloadNames
from millrace.workload.load import load_workload, workloads_folder

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.table.metadata import TableMetadata

    from millrace.decisions.record import Decision
    from millrace.workload.declaration import Prediction

COUNTS = "_counts"
"""The column that says whether a label counts."""


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


def find_labels(
    environment: Environment, names: WorkloadNames, decisions: Sequence[Decision]
) -> dict[str, tuple[KnownLabel, ...]]:
    """The labels of each decision, by the decision's id: sorted by horizon, then in the order in which they came.

    Labels of overwritten files are among the replaced ones until their snapshots expire. A label that was withdrawn is
    left out. A label that names no decision belongs to every decision about its row, although monitors count only the
    first one. So what is found for one decision does not depend on the others."""
    from millrace.decisions.columns import of_decisions
    from millrace.decisions.labelled import SHAPE
    from millrace.decisions.outcome_columns import keys_of

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
    import pyarrow as pa
    import pyarrow.compute as pc

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
    import pyarrow as pa
    import pyarrow.compute as pc

    parts = list(_of_labels(environment, names, prediction_spec))
    later = read_metadata(environment, names, "rows") if "rows" in prediction_spec.label_tables else None
    if (rows := _present(environment.client("s3"), later)) is not None:
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
    import numpy as np
    import pyarrow as pa

    s3, metadata = environment.client("s3"), read_metadata(environment, names, "labels")
    if metadata is None:
        return
    if (rows := _present(s3, metadata)) is not None:
        # A table may have several labels of one key. The last that came counts.
        counts = np.zeros(rows.num_rows, dtype=bool)
        counts[last_of_each(rows, prediction_spec.key, prediction_spec.label_columns)] = True
        yield rows.append_column(COUNTS, pa.array(counts))
    for part in overwritten_labels(s3, metadata, prediction_spec.key):
        yield part.append_column(COUNTS, pa.repeat(pa.scalar(False), part.num_rows))


def _present(s3: Any, metadata: TableMetadata | None) -> pa.Table | None:
    """The rows of the table's current snapshot; None if there are none."""
    import pyarrow as pa

    if metadata is None or metadata.current_snapshot_id is None:
        return None
    files = data_files(s3, metadata, metadata.current_snapshot_id, is_deleted=False)
    found = [read_rows(s3, uri) for uri, _ in files]
    return pa.concat_tables(found, promote_options="permissive") if found else None
