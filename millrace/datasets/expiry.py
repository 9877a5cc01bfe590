"""Lets snapshots of a table expire: every commit reads and writes the table's metadata, which grows with each snapshot.

What an expired snapshot says stays, in the file of `millrace.datasets.journal`. Its data files are still there;
`unreachable` deletes them."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import TYPE_CHECKING, Any

from millrace.datasets.changes import try_commit, until_won
from millrace.datasets.journal import JOURNAL, JOURNAL_FILE, JournalEntry, read_file, render
from millrace.datasets.tables import Lake

if TYPE_CHECKING:
    from pyiceberg.table import Table as IcebergTable
    from pyiceberg.table.metadata import TableMetadata

KEPT_DAYS = 7
"""How many days a snapshot stays. Every commit reads, copies and writes the metadata of each snapshot that is there: at
40 drops a day these are 280."""
MOST_AT_ONCE = 1000
"""The most snapshots that go in one commit: pyiceberg compares each snapshot that stays with each one that goes."""
MOST = 20_000
"""The most snapshots that go in one call."""


def expire(lake: Lake, table: str, *, before: datetime) -> int:
    """The number of snapshots that are removed: those from before `before`, except the current one and tagged ones.

    The oldest go first, about MOST of them in a call. Raises ConflictError if other writers win every time."""

    # 0 says that nothing is left to remove, None that another writer was first.
    def commit() -> int | None:
        iceberg = lake.find(table)
        old = oldest(iceberg, before) if iceberg is not None else []
        return len(old) if iceberg is None or not old or _remove(iceberg, old) else None

    removed, expected = 0, f"{lake.names.table(table)}: expected its snapshots to expire"
    while removed < MOST and (more := until_won(commit, expected)):
        removed += more
    return removed


def oldest(iceberg: IcebergTable, before: datetime) -> list[int]:
    """The ids of the oldest snapshots from before `before` that no branch and no tag names, at most MOST_AT_ONCE."""
    named = {ref.snapshot_id for ref in iceberg.metadata.refs.values()}
    old = [
        snapshot.snapshot_id
        for snapshot in iceberg.metadata.snapshots
        if snapshot.timestamp_ms < before.timestamp() * 1000 and snapshot.snapshot_id not in named
    ]
    return old[:MOST_AT_ONCE]


def _remove(iceberg: IcebergTable, ids: list[int]) -> bool:
    """Whether one commit has removed the snapshots and let the table name the file with their entries.

    The commit fails if the tags or the journal have changed since they were read. So no snapshot goes that was pinned
    meanwhile, and no file takes the place of one that another expiry has written."""
    from pyiceberg.table.update import RemoveSnapshotsUpdate, SetPropertiesUpdate

    from millrace.datasets.iceberg import begin

    expiring = set(ids)
    gone = (JournalEntry.of(snapshot) for snapshot in iceberg.metadata.snapshots if snapshot.snapshot_id in expiring)
    before = iceberg.metadata.properties.get(JOURNAL)
    location = f"{iceberg.location()}/metadata/{JOURNAL_FILE}{uuid.uuid4()}.jsonl.gz"
    # The new file has the lines of the former one too. It is written before the commit that names it.
    with iceberg.io.new_output(location).create() as stream:
        stream.write((read_file(iceberg, before) if before else b"") + render(gone))
    transaction = begin(iceberg)
    updates = SetPropertiesUpdate(updates={JOURNAL: location}), RemoveSnapshotsUpdate(snapshot_ids=ids)
    transaction._apply(updates, (unchanged(iceberg.metadata),))
    return try_commit(transaction)


def unchanged(read: TableMetadata) -> Any:
    """The requirement that the table has the tags and the journal that were read.

    The catalogue checks it against the metadata that it loads for the commit; Glue then compares the version of that
    metadata, so nothing can come in between."""
    from pyiceberg.exceptions import CommitFailedException
    from pyiceberg.table.update import ValidatableTableRequirement

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
