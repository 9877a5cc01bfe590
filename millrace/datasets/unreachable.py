"""Deletes files of a table that none of its snapshots names: files of expired snapshots and of commits that lost."""

from __future__ import annotations

from collections.abc import Container, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from millrace.aws.deletion import delete_keys
from millrace.aws.objects import AT_ONCE, split_uri
from millrace.datasets.expiry import oldest
from millrace.datasets.journal import JOURNAL, JOURNAL_FILE
from millrace.datasets.tables import Lake

if TYPE_CHECKING:
    from pyiceberg.manifest import ManifestFile
    from pyiceberg.table import Table as IcebergTable

GRACE = timedelta(days=3)
"""How old a file must be to be deleted. A file is written before the commit that names it. And after the commit that
no longer names it, it is still read by whoever opened the table before. It is Iceberg's own default:
https://iceberg.apache.org/docs/latest/maintenance/#delete-orphan-files"""
JOURNAL_GRACE = timedelta(days=30)
"""How old a former journal file must be: whoever sets a table back to former metadata needs the journal of then."""


def delete_unreachable(lake: Lake, s3: Any, table: str, *, before: datetime, grace: timedelta = GRACE) -> int:
    """The number of files that are deleted: files in the table's folder that it does not reach, older than `grace`.

    `before` is the one of `expire`. Nothing is deleted while older snapshots are left, since each of them would have to
    be read. `s3` is boto3's client. Raises ClientError if S3 refuses to delete a file."""
    iceberg = lake.find(table)
    if iceberg is None or oldest(iceberg, before):
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
    from pyiceberg.manifest import ManifestEntryStatus

    for entry in manifest.fetch_manifest_entry(iceberg.io, discard_deleted=False):
        if entry.status != ManifestEntryStatus.DELETED or entry.snapshot_id in recent:
            yield entry.data_file.file_path
