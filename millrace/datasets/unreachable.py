"""Files of a table that none of its snapshots names: of snapshots that expired, of commits that lost."""

from __future__ import annotations

from collections.abc import Container, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from millrace.aws.objects import AT_ONCE, split_uri
from millrace.datasets.expiry import oldest
from millrace.datasets.journal import JOURNAL, JOURNAL_FILE
from millrace.datasets.tables import Lake
from millrace.errors import SnapshotError

if TYPE_CHECKING:
    from pyiceberg.manifest import ManifestFile
    from pyiceberg.table import Table as IcebergTable

GRACE = timedelta(days=3)
"""A file is written before the commit that names it, and read by whoever opened the table before the commit that no
longer does. Iceberg's own default: https://iceberg.apache.org/docs/latest/maintenance/#delete-orphan-files"""
JOURNAL_GRACE = timedelta(days=30)
"""Of a former journal: who sets a table back to former metadata needs the one that it names."""


def delete_unreachable(lake: Lake, s3: Any, table: str, *, before: datetime, grace: timedelta = GRACE) -> int:
    """The number of files that are deleted: those below the table's folder that it does not reach, older than `grace`.

    `before` is that of `expire`; nothing is deleted while snapshots from before are left, of which each would be read.
    `s3` is boto3's client. Raises SnapshotError where S3 refuses one of them."""
    iceberg = lake.find(table)
    if iceberg is None or oldest(iceberg, before):
        return 0
    bucket, folder = split_uri(f"{iceberg.location()}/")
    # Listed first: what came after is not looked at.
    candidates = list(_older(s3, bucket, folder, grace))
    reached = {split_uri(uri)[1] for uri in reachable(iceberg, before)} if candidates else set()
    unreached = [key for key in candidates if key not in reached]
    for first in range(0, len(unreached), 1000):
        keys = [{"Key": key} for key in unreached[first : first + 1000]]
        answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": keys, "Quiet": True})
        if errors := answer.get("Errors"):
            one = errors[0]
            raise SnapshotError(f"s3://{bucket}/{one['Key']}: expected to delete it, {one['Code']}: {one['Message']}")
    return len(unreached)


def _older(s3: Any, bucket: str, folder: str, grace: timedelta) -> Iterator[str]:
    """Ages are by S3's own clock, which the answer's header has as well."""
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=folder):
        now = parsedate_to_datetime(page["ResponseMetadata"]["HTTPHeaders"]["date"])
        for entry in page.get("Contents", []):
            is_journal = f"/{JOURNAL_FILE}" in entry["Key"]
            if now - entry["LastModified"] >= (max(grace, JOURNAL_GRACE) if is_journal else grace):
                yield entry["Key"]


def reachable(iceberg: IcebergTable, before: datetime) -> Iterator[str]:
    """The URIs of all files that the table is made of: metadata, manifests, data of each of its snapshots.

    A file that left in a snapshot from after `before` is one of them: `millrace why` shows labels that were
    overwritten."""
    metadata, after = iceberg.metadata, before.timestamp() * 1000
    yield iceberg.metadata_location
    yield from (former.metadata_file for former in metadata.metadata_log)
    if JOURNAL in metadata.properties:
        yield metadata.properties[JOURNAL]
    yield from (snapshot.manifest_list for snapshot in metadata.snapshots)
    recent = {snapshot.snapshot_id for snapshot in metadata.snapshots if snapshot.timestamp_ms >= after}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        listed = pool.map(lambda snapshot: snapshot.manifests(iceberg.io), metadata.snapshots)
        manifests = {manifest.manifest_path: manifest for found in listed for manifest in found}
        yield from manifests
        for files in pool.map(lambda manifest: list(_files(iceberg, manifest, recent)), manifests.values()):
            yield from files


def _files(iceberg: IcebergTable, manifest: ManifestFile, recent: Container[int | None]) -> Iterator[str]:
    from pyiceberg.manifest import ManifestEntryStatus

    for entry in manifest.fetch_manifest_entry(iceberg.io, discard_deleted=False):
        if entry.status != ManifestEntryStatus.DELETED or entry.snapshot_id in recent:
            yield entry.data_file.file_path
