"""Pins dataset versions: a snapshot of the rows and one of the labels, with what a job needs to read exactly these.

The snapshot of the rows has a tag. A property of the same table says which snapshot of the labels belongs to the tag,
so both are pinned by one commit."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Self

from pyiceberg.table import Table as IcebergTable
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.update.snapshot import ManageSnapshots

from millrace.datasets.changes import try_commit, until_won
from millrace.datasets.journal import ADDED, Journal
from millrace.datasets.notes import ALIAS, COMPACTED
from millrace.datasets.tables import Lake
from millrace.errors import SnapshotError

HELD = "-held"
"""How the tag of rows ends that no training reads: it is held until a person accepts what has become of the labels."""
LABELS_OF = "millrace.labels-of."
"""The property of `rows` with the snapshot of `labels` that a tag has pinned is named so, with the tag behind it."""

ERASED = "millrace.erased."
"""The property of `rows` with the snapshot of a version that lost rows by an erasure is named so, with its tag behind.
The tag and the snapshots are gone, and nothing can be trained on it again."""


@dataclass(frozen=True, kw_only=True)
class Pin:
    """The two snapshots of a version."""

    rows: int
    labels: int | None
    """None if there were no labels yet."""

    @classmethod
    def of(cls, rows: TableMetadata, tag: str) -> Self | None:
        """The pin with this tag; None if there is none."""
        if tag not in rows.refs or tag == "main":
            return None
        labels = rows.properties.get(f"{LABELS_OF}{tag}")
        return cls(rows=rows.refs[tag].snapshot_id, labels=int(labels) if labels else None)

    @classmethod
    def of_now(cls, lake: Lake) -> Self | None:
        """The current snapshots; None without rows."""
        tables = [lake.find(table) for table in ("rows", "labels")]
        rows, labels = (table.current_snapshot() if table is not None else None for table in tables)
        return cls(rows=rows.snapshot_id, labels=labels.snapshot_id if labels else None) if rows else None


@dataclass(frozen=True, kw_only=True)
class DatasetVersion:
    """A pinned snapshot of `rows` with one of `labels`."""

    snapshot_id: int
    tag: str
    rows: int
    bytes: int
    """The size of all data files."""
    data_digest: str
    """SHA-256 of all that was committed up to these snapshots, in order: the sources' digests and numbers of rows."""
    manifest: str
    """The list of data files, as JSON in the form of SageMaker's ManifestFile."""
    schema: str
    """The Iceberg schema of the rows, as JSON."""
    labels: str
    """What `read.PinnedFiles` reads: the Iceberg schema of the labels and the names of their files."""


def pins(rows: TableMetadata) -> dict[str, Pin]:
    """The pins of all trainings by their tags, in the order of their rows."""
    found = {tag: pin for tag in rows.refs if not tag.endswith(HELD) and (pin := Pin.of(rows, tag))}
    places = {snapshot.snapshot_id: snapshot.sequence_number or 0 for snapshot in rows.snapshots}
    return dict(sorted(found.items(), key=lambda one: places[one[1].rows]))


def pinned(lake: Lake, tag: str) -> DatasetVersion | None:
    """The version that has this tag already, or None. Raises SnapshotError if rows of it were erased."""
    iceberg = lake.find("rows")
    found = Pin.of(iceberg.metadata, tag) if iceberg is not None else None
    if iceberg is not None and f"{ERASED}{tag}" in iceberg.properties:
        raise SnapshotError(f"dataset version {tag}: expected its rows, some were erased; a new run is without them")
    return _describe(lake, iceberg, found, tag) if iceberg is not None and found is not None else None


def pin(lake: Lake, tag: str) -> DatasetVersion:
    """The current snapshots of `rows` and `labels`, tagged as a version, or the version that has the tag already.

    Raises SnapshotError if there are no rows, or if delete files would have to be applied. Raises ConflictError if
    other writers win every time."""

    def commit() -> DatasetVersion | None:
        # A tag is never moved: a retry of the same run gets the same snapshot, even if the table has grown since.
        if done := pinned(lake, tag):
            return done
        iceberg = lake.find("rows")
        now = Pin.of_now(lake)
        if iceberg is None or now is None:
            raise SnapshotError(f"{lake.names.table('rows')}: expected rows to pin, found none")
        found = _describe(lake, iceberg, now, tag)
        transaction = iceberg.transaction()
        if now.labels is not None:
            transaction.set_properties({f"{LABELS_OF}{tag}": str(now.labels)})
        ManageSnapshots(transaction).create_tag(now.rows, tag).commit()
        try:
            return found if try_commit(transaction) else None
        except ValueError:  # the snapshot is gone: others came since, and it expired
            return None

    return until_won(commit, f"{lake.names.table('rows')}: expected the tag {tag}")


def unpin_erased(lake: Lake, tags: Collection[str]) -> None:
    """Remove the tags, and say by properties which snapshots they had. Raises ConflictError as `pin`."""

    def commit() -> bool | None:
        iceberg = lake.find("rows")
        assert iceberg is not None
        transaction = iceberg.transaction()
        for tag in set(tags) & set(iceberg.metadata.refs):
            transaction.set_properties({f"{ERASED}{tag}": str(iceberg.metadata.refs[tag].snapshot_id)})
            ManageSnapshots(transaction).remove_tag(tag).commit()
        return try_commit(transaction) or None

    until_won(commit, f"{lake.names.table('rows')}: expected the tags to go")


def _describe(lake: Lake, rows: IcebergTable, pin: Pin, tag: str) -> DatasetVersion:
    files, schema = _data_files(rows, pin.rows), _schema(rows, pin.rows)
    if not files:
        raise SnapshotError(f"{rows.name()}: expected data files in snapshot {pin.rows}, found none")
    labels = lake.find("labels") if pin.labels is not None else None
    of_labels: list[tuple[str, int, int]] = []
    document: dict[str, Any] = {"schema": None, "files": []}
    if labels is not None and pin.labels is not None:
        of_labels = _data_files(labels, pin.labels)
        names = [path.rpartition("/")[2] for path, *_ in of_labels]
        document = {"schema": json.loads(_schema(labels, pin.labels)), "files": names}
    return DatasetVersion(
        snapshot_id=pin.rows,
        tag=tag,
        rows=sum(count for _, count, _ in files),
        bytes=sum(size for *_, size in (*files, *of_labels)),
        data_digest=data_digest(Journal.of(rows), Journal.of(labels) if labels is not None else None, pin),
        manifest=manifest([path for path, *_ in (*files, *of_labels)]),
        schema=schema,
        labels=json.dumps(document),
    )


def _schema(iceberg: IcebergTable, snapshot_id: int) -> str:
    """The schema of this snapshot, which may be older than the table's."""
    return iceberg.scan(snapshot_id=snapshot_id).projection().model_dump_json()


def _data_files(iceberg: IcebergTable, snapshot_id: int) -> list[tuple[str, int, int]]:
    """Each data file of the snapshot, with its number of rows and its bytes.

    Raises SnapshotError for a snapshot with delete files, since a job reads whole files."""
    files: list[tuple[str, int, int]] = []
    for task in iceberg.scan(snapshot_id=snapshot_id).plan_files():
        if task.delete_files:
            raise SnapshotError(f"{task.file.file_path}: expected no delete files, found {len(task.delete_files)}")
        files.append((task.file.file_path, task.file.record_count, task.file.file_size_in_bytes))
    return sorted(files)


def manifest(uris: list[str]) -> str:
    """The files as a manifest for SageMaker, such as `[{"prefix": "s3://bucket/"}, "a.parquet", "b.parquet"]`.

    Raises SnapshotError for files in several buckets.
    Source: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_S3DataSource.html"""
    # SageMaker joins one prefix with each name: the bucket is all that the files surely have in common.
    bucket = "/".join(uris[0].split("/", 3)[:3]) + "/"
    if strays := [uri for uri in uris if not uri.startswith(bucket)]:
        raise SnapshotError(f"expected files in {bucket}, got {strays[0]}")
    return json.dumps([{"prefix": bucket}, *(uri.removeprefix(bucket) for uri in uris)])


def data_digest(rows: Journal, labels: Journal | None, pin: Pin) -> str:
    """SHA-256 of all that was committed up to the two snapshots, in order: the sources' digests and numbers of rows."""
    committed = _committed(rows, pin.rows)
    if labels is not None and pin.labels is not None:
        committed += ["labels", *_committed(labels, pin.labels)]
    return hashlib.sha256("\n".join(committed).encode()).hexdigest()


def _committed(journal: Journal, snapshot_id: int) -> list[str]:
    # Duplicates, and snapshots that only wrote data files anew, are left out.
    return [
        f"{entry.digest}:{entry.notes.get(ADDED, '0')}"
        for entry in journal.up_to(snapshot_id)
        if ALIAS not in entry.notes and COMPACTED not in entry.notes
    ]
