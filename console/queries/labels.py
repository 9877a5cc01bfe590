"""The labels that came for decisions: the one that counts, and those that it replaced."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from console.environment import Environment
from console.queries.table_metadata import find_metadata
from millrace.aws.objects import read_object
from millrace.contract.load import load_contract
from millrace.datasets.corrections import last_of_each
from millrace.datasets.notes import REPLACED, notes_of
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
    """By the decision's id, in the order of their arrival; the labels of overwritten files are among the replaced."""
    folder = workloads_folder() / names.workload
    surface, table = load_workload(folder).prediction, load_contract(folder).labels
    rows = _rows(environment, names, surface)
    if rows is None or not decisions:
        return {}
    index = DecisionIndex(decisions, surface=surface, table=table)
    found: dict[str, list[KnownLabel]] = {}
    for row in _near(rows, surface, decisions).to_pylist():
        for hours in surface.horizons:
            if (decision := index.find(row, ahead=timedelta(hours=hours))) is not None:
                found.setdefault(decision.id, []).append(_label(row, surface, hours))
    return {name: tuple(sorted(labels, key=_order)) for name, labels in found.items()}


def _label(row: Mapping[str, Any], surface: Prediction, hours: float) -> KnownLabel:
    cells = {name: row[name] for name in surface.label_columns}
    value = cells if surface.labels else cells[surface.label]
    return KnownLabel(value=value, counts=row[COUNTS], arrived=row.get(ARRIVED), drop=row[SOURCE], hours=hours)


def _order(label: KnownLabel) -> tuple[float, float, bool]:
    return label.hours, label.arrived.timestamp() if label.arrived else 0.0, label.counts


def _near(rows: pa.Table, surface: Prediction, decisions: Sequence[Decision]) -> pa.Table:
    """The labels that may be about one of the decisions: those of its key's first column, its time or its id."""
    import pyarrow as pa
    import pyarrow.compute as pc

    ids = pa.array([decision.id for decision in decisions], pa.string())
    near = pc.is_in(rows[PREDICTION_ID], value_set=ids) if PREDICTION_ID in rows.column_names else pa.scalar(False)
    entity = next((name for name in surface.key if name != surface.event_time), None)
    if entity is not None:
        cells = pa.array([str(decision.key.get(entity)) for decision in decisions], pa.string())
        return rows.filter(pc.or_(near, pc.is_in(pc.cast(rows[entity], pa.string()), value_set=cells)))
    moments = [decision.event_time.replace(tzinfo=None) for decision in decisions]
    first = min(moments) + timedelta(hours=surface.horizons[0])
    last = max(moments) + timedelta(hours=surface.horizons[-1])
    times = rows[surface.event_time].cast(pa.timestamp("us"))
    inside = pc.and_(pc.greater_equal(times, pa.scalar(first)), pc.less_equal(times, pa.scalar(last)))
    return rows.filter(pc.or_(near, inside))


def _rows(environment: Environment, names: WorkloadNames, surface: Prediction) -> pa.Table | None:
    """Every label that came, with `_counts`; None before the first."""
    import numpy as np
    import pyarrow as pa

    metadata = find_metadata(environment, names, "labels")
    if metadata is None or metadata.current_snapshot_id is None:
        return None
    s3 = environment.client("s3")
    there = [_read(s3, uri) for uri, _ in _files(s3, metadata, metadata.current_snapshot_id, is_deleted=False)]
    rows = pa.concat_tables(there, promote_options="permissive") if there else None
    parts = []
    if rows is not None:
        counts = np.zeros(rows.num_rows, dtype=bool)
        counts[last_of_each(rows, surface.key, surface.label_columns)] = True
        parts.append(rows.append_column(COUNTS, pa.array(counts)))
    for part in _overwritten(s3, metadata):
        parts.append(part.append_column(COUNTS, pa.repeat(pa.scalar(False), part.num_rows)))
    return pa.concat_tables(parts, promote_options="permissive") if parts else None


def _overwritten(s3: Any, metadata: TableMetadata) -> Iterator[pa.Table]:
    """The rows of files of which a later version came: they left the table in the snapshot before that version's."""
    import pyarrow.compute as pc

    for snapshot in metadata.snapshots:
        replaced = notes_of(snapshot).get(REPLACED)
        if replaced and snapshot.parent_snapshot_id is not None:
            for uri, left_in in _files(s3, metadata, snapshot.parent_snapshot_id, is_deleted=True):
                if left_in == snapshot.parent_snapshot_id:
                    rows = _read(s3, uri)
                    yield rows.filter(pc.equal(rows[SOURCE], replaced))


def _files(s3: Any, metadata: TableMetadata, snapshot_id: int, *, is_deleted: bool) -> Iterator[tuple[str, int | None]]:
    """The data files of a snapshot, or those that its manifests say have left, with the snapshot that says so."""
    from pyiceberg.manifest import ManifestEntryStatus

    files = _manifests(s3)
    snapshot = next(one for one in metadata.snapshots if one.snapshot_id == snapshot_id)
    for manifest in snapshot.manifests(files):
        for entry in manifest.fetch_manifest_entry(files, discard_deleted=not is_deleted):
            if (entry.status == ManifestEntryStatus.DELETED) == is_deleted:
                yield entry.data_file.file_path, entry.snapshot_id


def _read(s3: Any, uri: str) -> pa.Table:
    import pyarrow.parquet as pq

    return pq.read_table(io.BytesIO(read_object(s3, uri)))


def _manifests(s3: Any) -> Any:
    """pyiceberg's files, by the command's own client."""
    from pyiceberg.io import FileIO, InputFile

    class Input(InputFile):
        """One object."""

        def __len__(self) -> int:
            return len(read_object(s3, self.location))

        def exists(self) -> bool:
            return True

        def open(self, seekable: bool = True) -> Any:  # noqa: ARG002 - pyiceberg's name
            return io.BytesIO(read_object(s3, self.location))

    class Files(FileIO):
        """They are read, never written."""

        def new_input(self, location: str) -> InputFile:
            return Input(location)

        def new_output(self, location: str) -> Any:
            raise NotImplementedError(location)

        def delete(self, location: Any) -> None:
            raise NotImplementedError(location)

    return Files()
