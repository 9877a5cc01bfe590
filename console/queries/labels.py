"""The labels that came for decisions: the one that counts, and those that it replaced."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from console.environment import Environment
from console.queries.overwritten_labels import overwritten_labels
from console.queries.table_files import data_files, read_metadata, read_rows
from millrace.contract.deduplicate import key_of
from millrace.contract.load import load_contract
from millrace.datasets.corrections import last_of_each
from millrace.datasets.tables import ARRIVED, SOURCE
from millrace.decisions.outcomes import PREDICTION_ID, DecisionIndex
from millrace.names import WorkloadNames
from millrace.workload.load import load_workload, workloads_folder

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.table.metadata import TableMetadata

    from millrace.decisions.record import Decision
    from millrace.workload.declaration import Prediction

COUNTS = "_counts"


@dataclass(frozen=True, kw_only=True)
class KnownLabel:
    """One label of a decision."""

    value: Any
    """By column where a row has several labels."""
    counts: bool
    """False for one that a later one replaced."""
    arrived: datetime | None
    """UTC; None for a label of before arrivals were kept."""
    drop: str
    """The landing key of the file that brought it."""
    hours: float
    """How far ahead of the decision's row it lies."""


def find_labels(
    environment: Environment, names: WorkloadNames, decisions: Sequence[Decision]
) -> dict[str, tuple[KnownLabel, ...]]:
    """By the decision's id, in the order of their arrival; the labels of overwritten files are among the replaced until
    their snapshots expire.

    None that was withdrawn. A label without an id is that of each decision about its row, though monitors count the
    first one only: what is found for a decision does not depend on which others are asked for."""
    folder = workloads_folder() / names.workload
    prediction_spec, table = load_workload(folder).prediction, load_contract(folder).labels
    rows = _rows(environment, names, prediction_spec)
    if rows is None or not decisions:
        return {}
    index = DecisionIndex(decisions, prediction_spec=prediction_spec, table=table)
    found: dict[str, list[KnownLabel]] = {}
    for row in _near(rows, prediction_spec, decisions).to_pylist():
        for hours in prediction_spec.horizons:
            for decision in index.find_all(row, ahead=timedelta(hours=hours)):
                found.setdefault(decision.id, []).append(_label(row, prediction_spec, hours))
    return {name: tuple(sorted(labels, key=_order)) for name, labels in found.items()}


def _label(row: Mapping[str, Any], prediction_spec: Prediction, hours: float) -> KnownLabel:
    cells = {name: row[name] for name in prediction_spec.label_columns}
    value = cells if prediction_spec.labels else cells[prediction_spec.label]
    return KnownLabel(value=value, counts=row[COUNTS], arrived=row.get(ARRIVED), drop=row[SOURCE], hours=hours)


def _order(label: KnownLabel) -> tuple[float, float, bool]:
    return label.hours, label.arrived.timestamp() if label.arrived else 0.0, label.counts


def _near(rows: pa.Table, prediction_spec: Prediction, decisions: Sequence[Decision]) -> pa.Table:
    """The labels that may be about one of the decisions: those of its key's first column, its time or its id."""
    import pyarrow as pa
    import pyarrow.compute as pc

    ids = pa.array([decision.id for decision in decisions], pa.string())
    near = pc.is_in(rows[PREDICTION_ID], value_set=ids) if PREDICTION_ID in rows.column_names else pa.scalar(False)
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
    """Every label that came, with `_counts`; None before the first.

    Where a label lies ahead, a later row of the table `rows` is one too, unless its label came as such."""
    import pyarrow as pa
    import pyarrow.compute as pc

    parts = list(_of_labels(environment, names, prediction_spec))
    later = read_metadata(environment, names, "rows") if "rows" in prediction_spec.label_tables else None
    if (rows := _present(environment.client("s3"), later)) is not None:
        rows = rows.filter(pc.is_valid(rows[prediction_spec.label]))
        columns = {*prediction_spec.key, prediction_spec.event_time, prediction_spec.label, ARRIVED, SOURCE}
        rows = rows.select([name for name in rows.column_names if name in columns])
        told = [key_of(part, prediction_spec.key) for part in parts]
        if told:
            known = pa.chunked_array(told).combine_chunks()
            rows = rows.filter(pc.invert(pc.is_in(key_of(rows, prediction_spec.key), value_set=known)))
        parts.append(rows.append_column(COUNTS, pa.repeat(pa.scalar(True), rows.num_rows)))
    return pa.concat_tables(parts, promote_options="permissive") if parts else None


def _of_labels(environment: Environment, names: WorkloadNames, prediction_spec: Prediction) -> Iterator[pa.Table]:
    """The labels that came as such: those of the table, and those of files that were overwritten."""
    import numpy as np
    import pyarrow as pa

    s3, metadata = environment.client("s3"), read_metadata(environment, names, "labels")
    if metadata is None:
        return
    if (rows := _present(s3, metadata)) is not None:
        counts = np.zeros(rows.num_rows, dtype=bool)
        counts[last_of_each(rows, prediction_spec.key, prediction_spec.label_columns)] = True
        yield rows.append_column(COUNTS, pa.array(counts))
    for part in overwritten_labels(s3, metadata, prediction_spec.key):
        yield part.append_column(COUNTS, pa.repeat(pa.scalar(False), part.num_rows))


def _present(s3: Any, metadata: TableMetadata | None) -> pa.Table | None:
    """The rows of the table's current snapshot; None without any."""
    import pyarrow as pa

    if metadata is None or metadata.current_snapshot_id is None:
        return None
    files = data_files(s3, metadata, metadata.current_snapshot_id, is_deleted=False)
    found = [read_rows(s3, uri) for uri, _ in files]
    return pa.concat_tables(found, promote_options="permissive") if found else None
