"""Lets snapshots of a table expire: every commit reads and writes the table's metadata, which grows with each snapshot.

What an expired snapshot says stays, in the file of `millrace.datasets.journal`. Its data files are deleted some days
later, with those of commits that lost."""

from __future__ import annotations

import uuid
from collections.abc import Container, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from itertools import pairwise
from typing import Any

from pyiceberg.exceptions import CommitFailedException
from pyiceberg.manifest import ManifestEntryStatus, ManifestFile
from pyiceberg.table import Table as IcebergTable
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.update import RemoveSnapshotsUpdate, SetPropertiesUpdate, ValidatableTableRequirement

from millrace.aws.deletion import delete_keys
from millrace.aws.objects import AT_ONCE, split_uri
from millrace.datasets.changes import try_commit, until_won
from millrace.datasets.iceberg import DropsTransaction
from millrace.datasets.journal import JOURNAL, JOURNAL_FILE, JournalEntry, read_file, render
from millrace.datasets.tables import Lake
from millrace.datasets.versions import pins

KEPT_DAYS = 7
"""How many days a snapshot stays. Every commit reads, copies and writes the metadata of each snapshot that is there: at
40 drops a day these are 280."""
MOST_AT_ONCE = 1000
"""The most snapshots that go in one commit: pyiceberg compares each snapshot that stays with each one that goes."""
MOST = 20_000
"""The most snapshots that go in one call."""
GRACE = timedelta(days=3)
"""How old a file must be to be deleted. A file is written before the commit that names it. And after the commit that
no longer names it, it is still read by whoever opened the table before. It is Iceberg's own default:
https://iceberg.apache.org/docs/latest/maintenance/#delete-orphan-files"""
JOURNAL_GRACE = timedelta(days=30)
"""How old a former journal file must be: whoever sets a table back to former metadata needs the journal of then."""


def expire(lake: Lake, table: str, *, before: datetime) -> int:
    """The number of snapshots that are removed: those that were not the current one any more at `before`.

    Pinned ones stay. The oldest go first, about MOST of them in a call. Raises ConflictError if other writers win every
    time."""

    # 0 says that nothing is left to remove, None that another writer was first.
    def commit() -> int | None:
        iceberg = lake.find(table)
        old = oldest(lake, iceberg, before) if iceberg is not None else []
        return len(old) if iceberg is None or not old or _remove(iceberg, old) else None

    removed, expected = 0, f"{lake.names.table(table)}: expected its snapshots to expire"
    while removed < MOST and (more := until_won(commit, expected)):
        removed += more
    return removed


def oldest(lake: Lake, iceberg: IcebergTable, before: datetime) -> list[int]:
    """The ids of the oldest snapshots that were replaced before `before`, at most MOST_AT_ONCE; not of pinned ones.

    Who pins a snapshot of the labels says so in the other table, some seconds after it was the current one."""
    pinned = pins(rows.metadata).values() if (rows := lake.find("rows")) is not None else ()
    named = {*(ref.snapshot_id for ref in iceberg.metadata.refs.values()), *(pin.labels for pin in pinned)}
    old = [
        snapshot.snapshot_id
        for snapshot, later in pairwise(iceberg.metadata.snapshots)
        if later.timestamp_ms < before.timestamp() * 1000 and snapshot.snapshot_id not in named
    ]
    return old[:MOST_AT_ONCE]


def _remove(iceberg: IcebergTable, ids: list[int]) -> bool:
    """Whether one commit has removed the snapshots and let the table name the file with their entries.

    The commit fails if the tags or the journal have changed since they were read. So no snapshot goes that was pinned
    meanwhile, and no file takes the place of one that another expiry has written."""
    expiring = set(ids)
    gone = (JournalEntry.of(snapshot) for snapshot in iceberg.metadata.snapshots if snapshot.snapshot_id in expiring)
    before = iceberg.metadata.properties.get(JOURNAL)
    location = f"{iceberg.location()}/metadata/{JOURNAL_FILE}{uuid.uuid4()}.jsonl.gz"
    # The new file has the lines of the former one too. It is written before the commit that names it.
    with iceberg.io.new_output(location).create() as stream:
        stream.write((read_file(iceberg, before) if before else b"") + render(gone))
    transaction = DropsTransaction(iceberg)
    updates = SetPropertiesUpdate(updates={JOURNAL: location}), RemoveSnapshotsUpdate(snapshot_ids=ids)
    transaction._apply(updates, (unchanged(iceberg.metadata),))
    return try_commit(transaction)


def unchanged(read: TableMetadata) -> Any:
    """The requirement that the table has the tags and the journal that were read.

    The catalogue checks it against the metadata that it loads for the commit; Glue then compares the version of that
    metadata, so nothing can come in between."""

    class Unchanged(ValidatableTableRequirement):
        type: str = "unchanged"

        def validate(self, base_metadata: TableMetadata | None) -> None:  # type: ignore[override] # as pyiceberg's own
            if base_metadata is None or _held(base_metadata) != _held(read):
                raise CommitFailedException("expected the tags and the journal as they were read")

    return Unchanged()


def _held(metadata: TableMetadata) -> tuple[dict[str, int], str | None]:
    """The tags of the table and the URI of its journal."""
    tags = {name: ref.snapshot_id for name, ref in metadata.refs.items() if name != "main"}
    return tags, metadata.properties.get(JOURNAL)


def delete_unreachable(lake: Lake, s3: Any, table: str, *, before: datetime, grace: timedelta = GRACE) -> int:
    """The number of files that are deleted: files in the table's folder that it does not reach, older than `grace`.

    `before` is the one of `expire`. Nothing is deleted while older snapshots are left, since each of them would have to
    be read. `s3` is boto3's client. Raises ClientError if S3 refuses to delete a file."""
    iceberg = lake.find(table)
    if iceberg is None or oldest(lake, iceberg, before):
        return 0
    bucket, folder = split_uri(f"{iceberg.location()}/")
    # The files are listed first, then the table is read: a file that comes in between is no candidate.
    candidates = list(_older(s3, bucket, folder, grace))
    reached = {split_uri(uri)[1] for uri in reachable(iceberg, before)} if candidates else set()
    unreached = [key for key in candidates if key not in reached]
    delete_keys(s3, bucket, unreached)
    return len(unreached)


def _older(s3: Any, bucket: str, folder: str, grace: timedelta) -> Iterator[str]:
    """The keys of the files in the folder that are older than `grace`, by S3's own clock: its answer has the time."""
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=folder):
        now = parsedate_to_datetime(page["ResponseMetadata"]["HTTPHeaders"]["date"])
        for entry in page.get("Contents", []):
            is_journal = f"/{JOURNAL_FILE}" in entry["Key"]
            if now - entry["LastModified"] >= (max(grace, JOURNAL_GRACE) if is_journal else grace):
                yield entry["Key"]


def reachable(iceberg: IcebergTable, before: datetime) -> Iterator[str]:
    """The URIs of all files that the table is made of: metadata, journal, and manifests and data of each snapshot.

    A data file that left the table by a snapshot since `before` is one of them: `millrace why` shows labels that were
    overwritten."""
    metadata, after = iceberg.metadata, before.timestamp() * 1000
    yield iceberg.metadata_location
    yield from (former.metadata_file for former in metadata.metadata_log)
    if JOURNAL in metadata.properties:
        yield metadata.properties[JOURNAL]
    yield from (snapshot.manifest_list for snapshot in metadata.snapshots)
    recent = {snapshot.snapshot_id for snapshot in metadata.snapshots if snapshot.timestamp_ms >= after}
    # Snapshots share manifests: each manifest is read once, by its path.
    with ThreadPoolExecutor(AT_ONCE) as pool:
        listed = pool.map(lambda snapshot: snapshot.manifests(iceberg.io), metadata.snapshots)
        manifests = {manifest.manifest_path: manifest for found in listed for manifest in found}
        yield from manifests
        for files in pool.map(lambda manifest: list(_files(iceberg, manifest, recent)), manifests.values()):
            yield from files


def _files(iceberg: IcebergTable, manifest: ManifestFile, recent: Container[int | None]) -> Iterator[str]:
    """The URIs of the data files in the manifest, without those that left by a snapshot that is not recent."""
    for entry in manifest.fetch_manifest_entry(iceberg.io, discard_deleted=False):
        if entry.status != ManifestEntryStatus.DELETED or entry.snapshot_id in recent:
            yield entry.data_file.file_path
