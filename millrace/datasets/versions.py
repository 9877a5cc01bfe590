"""Pins dataset versions: a version is a tagged snapshot, with what a job needs to read exactly its rows."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from millrace.datasets.changes import try_commit, until_won
from millrace.datasets.journal import ADDED, Journal
from millrace.datasets.notes import ALIAS, COMPACTED
from millrace.datasets.tables import Lake
from millrace.errors import SnapshotError

if TYPE_CHECKING:
    from pyiceberg.table import Table as IcebergTable
    from pyiceberg.table.snapshots import Snapshot


@dataclass(frozen=True, kw_only=True)
class DatasetVersion:
    """One pinned snapshot of `rows`."""

    snapshot_id: int
    tag: str
    rows: int
    data_digest: str
    """SHA-256 of all that was committed up to this snapshot, in order: the sources' digests and numbers of rows."""
    manifest: str
    """The list of data files, as JSON in the form of SageMaker's ManifestFile."""
    schema: str
    """The Iceberg schema, as JSON."""


def pinned(lake: Lake, tag: str) -> DatasetVersion | None:
    """The version that has this tag already, or None."""
    iceberg = lake.find("rows")
    snapshot = iceberg.snapshot_by_name(tag) if iceberg is not None else None
    return _describe(iceberg, snapshot, tag) if iceberg is not None and snapshot is not None else None


def pin(lake: Lake, tag: str) -> DatasetVersion:
    """The current snapshot of `rows`, tagged as a version. If the tag exists already, the version that has it.

    Raises SnapshotError if there are no rows, or if delete files would have to be applied. Raises ConflictError if
    other writers win every time."""
    from pyiceberg.table.update.snapshot import ManageSnapshots

    def commit() -> DatasetVersion | None:
        # A tag is never moved: a retry of the same run gets the same snapshot, even if the table has grown since.
        if done := pinned(lake, tag):
            return done
        iceberg = lake.find("rows")
        snapshot = iceberg.current_snapshot() if iceberg is not None else None
        if iceberg is None or snapshot is None:
            raise SnapshotError(f"{lake.names.table('rows')}: expected rows to pin, found none")
        found = _describe(iceberg, snapshot, tag)
        transaction = iceberg.transaction()
        ManageSnapshots(transaction).create_tag(snapshot.snapshot_id, tag).commit()
        try:
            return found if try_commit(transaction) else None
        except ValueError:  # the snapshot is gone: others came since, and it expired
            return None

    return until_won(commit, f"{lake.names.table('rows')}: expected the tag {tag}")


def _describe(iceberg: IcebergTable, snapshot: Snapshot, tag: str) -> DatasetVersion:
    # The schema of this snapshot, which may be older than the table's.
    schema = iceberg.schemas()[snapshot.schema_id or 0]
    files = sorted(_data_files(iceberg, snapshot))
    return DatasetVersion(
        snapshot_id=snapshot.snapshot_id,
        tag=tag,
        rows=sum(rows for _, rows in files),
        data_digest=data_digest(Journal.of(iceberg), snapshot.snapshot_id),
        manifest=manifest([path for path, _ in files]),
        schema=schema.model_dump_json(),
    )


def _data_files(iceberg: IcebergTable, snapshot: Snapshot) -> list[tuple[str, int]]:
    """Each data file of the snapshot, with its number of rows.

    Raises SnapshotError for a snapshot with delete files, since a job reads whole files, and for one without data."""
    files = []
    for task in iceberg.scan(snapshot_id=snapshot.snapshot_id).plan_files():
        if task.delete_files:
            raise SnapshotError(f"{task.file.file_path}: expected no delete files, found {len(task.delete_files)}")
        files.append((task.file.file_path, task.file.record_count))
    if not files:
        raise SnapshotError(f"{iceberg.name()}: expected data files in snapshot {snapshot.snapshot_id}, found none")
    return files


def manifest(uris: list[str]) -> str:
    """The files as a manifest for SageMaker, such as `[{"prefix": "s3://bucket/"}, "a.parquet", "b.parquet"]`.

    Raises SnapshotError for files in several buckets.
    Source: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_S3DataSource.html"""
    # SageMaker joins one prefix with each name: the bucket is all that the files surely have in common.
    bucket = "/".join(uris[0].split("/", 3)[:3]) + "/"
    if strays := [uri for uri in uris if not uri.startswith(bucket)]:
        raise SnapshotError(f"expected files in {bucket}, got {strays[0]}")
    return json.dumps([{"prefix": bucket}, *(uri.removeprefix(bucket) for uri in uris)])


def data_digest(journal: Journal, snapshot_id: int) -> str:
    """SHA-256 of all that was committed up to the snapshot, in order: the sources' digests and numbers of rows."""
    # Duplicates, and snapshots that only wrote data files anew, are left out.
    committed = [
        f"{entry.digest}:{entry.notes.get(ADDED, '0')}"
        for entry in journal.up_to(snapshot_id)
        if ALIAS not in entry.notes and COMPACTED not in entry.notes
    ]
    return hashlib.sha256("\n".join(committed).encode()).hexdigest()
