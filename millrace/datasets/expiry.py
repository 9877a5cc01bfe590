"""Snapshots of a table expire: its metadata, which every commit reads and writes, grows with each of them.

What they say stays, in the file of `millrace.datasets.journal`. The data is still there; `unreachable` deletes it."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import TYPE_CHECKING, Any

from millrace.datasets.commits import try_commit, until_won
from millrace.datasets.journal import JOURNAL, JOURNAL_FILE, JournalEntry, read_file, render
from millrace.datasets.tables import Lake

if TYPE_CHECKING:
    from pyiceberg.table import Table as IcebergTable
    from pyiceberg.table.metadata import TableMetadata

KEPT_DAYS = 7
"""Every commit reads, copies and writes what is said of each snapshot that is there: of 280, at 40 drops a day."""
MOST_AT_ONCE = 1000
"""pyiceberg compares each snapshot that stays with each that goes."""
MOST = 20_000
"""In one call."""


def expire(lake: Lake, table: str, *, before: datetime) -> int:
    """The number of snapshots that are removed: those from before, but for the current one and each tagged one.

    MOST of them, the oldest first. Raises ConflictError when other writers win every time."""

    def commit() -> int | None:
        iceberg = lake.find(table)
        old = oldest(iceberg, before) if iceberg is not None else []
        return len(old) if iceberg is None or not old or _remove(iceberg, old) else None

    removed, expected = 0, f"{lake.names.table(table)}: expected its snapshots to expire"
    while removed < MOST and (more := until_won(commit, expected)):
        removed += more
    return removed


def oldest(iceberg: IcebergTable, before: datetime) -> list[int]:
    """The ids of the oldest snapshots from before that no branch and no tag names, MOST_AT_ONCE at most."""
    named = {ref.snapshot_id for ref in iceberg.metadata.refs.values()}
    old = [
        snapshot.snapshot_id
        for snapshot in iceberg.metadata.snapshots
        if snapshot.timestamp_ms < before.timestamp() * 1000 and snapshot.snapshot_id not in named
    ]
    return old[:MOST_AT_ONCE]


def _remove(iceberg: IcebergTable, ids: list[int]) -> bool:
    """Whether the snapshots are gone, and the table names the file with what they said, both in one commit.

    The commit holds for the tags and the file that were read: no snapshot goes that was pinned meanwhile, and no file
    takes the place of one that another expiry has written."""
    from pyiceberg.table.update import RemoveSnapshotsUpdate, SetPropertiesUpdate

    from millrace.datasets.iceberg import begin

    expiring = set(ids)
    gone = (JournalEntry.of(snapshot) for snapshot in iceberg.metadata.snapshots if snapshot.snapshot_id in expiring)
    before = iceberg.metadata.properties.get(JOURNAL)
    location = f"{iceberg.location()}/metadata/{JOURNAL_FILE}{uuid.uuid4()}.jsonl.gz"
    with iceberg.io.new_output(location).create() as stream:
        stream.write((read_file(iceberg, before) if before else b"") + render(gone))
    transaction = begin(iceberg)
    updates = SetPropertiesUpdate(updates={JOURNAL: location}), RemoveSnapshotsUpdate(snapshot_ids=ids)
    transaction._apply(updates, (unchanged(iceberg.metadata),))
    return try_commit(transaction)


def unchanged(read: TableMetadata) -> Any:
    """That the table has the tags and the file of its journal which were read.

    The catalogue holds it against the table whose version Glue then compares."""
    from pyiceberg.exceptions import CommitFailedException
    from pyiceberg.table.update import ValidatableTableRequirement

    class Unchanged(ValidatableTableRequirement):
        type: str = "unchanged"

        def validate(self, base_metadata: TableMetadata | None) -> None:  # type: ignore[override] # as pyiceberg's own
            if base_metadata is None or _held(base_metadata) != _held(read):
                raise CommitFailedException("expected the tags and the journal as they were read")

    return Unchanged()


def _held(metadata: TableMetadata) -> tuple[dict[str, int], str | None]:
    tags = {name: ref.snapshot_id for name, ref in metadata.refs.items() if name != "main"}
    return tags, metadata.properties.get(JOURNAL)
