"""The labels of dropped files that a later version has replaced."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from console.queries.table_files import data_files, read_rows
from millrace.contract.deduplicate import key_of
from millrace.datasets.journal import JournalEntry
from millrace.datasets.notes import REPLACED, WITHDRAWN, WITHDRAWN_DROP
from millrace.datasets.tables import SOURCE

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.table.metadata import TableMetadata


def overwritten_labels(s3: Any, metadata: TableMetadata, key: tuple[str, ...]) -> Iterator[pa.Table]:
    """The rows of files that a later version replaced. They left the table in the snapshot before that version's
    snapshot.

    Rows that were withdrawn later are left out, and so are rows whose snapshot has expired."""
    import pyarrow.compute as pc

    if not any(JournalEntry.of(snapshot).notes.get(REPLACED) for snapshot in metadata.snapshots):
        return
    withdrawn = list(_withdrawn(s3, metadata, key))
    for place, snapshot in enumerate(metadata.snapshots):
        replaced = JournalEntry.of(snapshot).notes.get(REPLACED)
        if not replaced or snapshot.parent_snapshot_id is None:
            continue
        for left in _changed(s3, metadata, snapshot.parent_snapshot_id, is_deleted=True):
            # A file of the table that left may also have rows of other drops, which are in the file that took its
            # place.
            rows = left.filter(pc.equal(left[SOURCE], replaced))
            for one in withdrawn:
                # A withdrawal before this snapshot is about earlier rows.
                rows = one.without(rows, key) if one.place > place else rows
            yield rows


@dataclass(frozen=True, kw_only=True)
class _Withdrawal:
    """A snapshot with which rows were withdrawn."""

    place: int
    """Its position among the snapshots of the table, from 0."""
    drop: str
    """The landing key of the withdrawn rows; empty if they were withdrawn by a key."""
    keys: pa.Table | None
    """The keys of the withdrawn rows; None if they were withdrawn by their drop."""

    def without(self, rows: pa.Table, key: tuple[str, ...]) -> pa.Table:
        """The rows that were not withdrawn."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if self.drop:
            return rows.filter(pc.not_equal(rows[SOURCE], self.drop))
        if self.keys is None:
            return rows
        keys = key_of(pa.concat_tables([rows.select(key), self.keys], promote_options="permissive"), key)
        return rows.filter(pc.invert(pc.is_in(keys[: rows.num_rows], value_set=keys[rows.num_rows :])))


def _withdrawn(s3: Any, metadata: TableMetadata, key: tuple[str, ...]) -> Iterator[_Withdrawal]:
    """All withdrawals of the table, in the order of its snapshots."""
    for place, snapshot in enumerate(metadata.snapshots):
        notes = JournalEntry.of(snapshot).notes
        if WITHDRAWN in notes:
            drop = notes.get(WITHDRAWN_DROP, "")
            keys = None if drop else _left(s3, metadata, snapshot.snapshot_id, key)
            yield _Withdrawal(place=place, drop=drop, keys=keys)


def _left(s3: Any, metadata: TableMetadata, snapshot_id: int, key: tuple[str, ...]) -> pa.Table | None:
    """The keys of the rows that left the table in this snapshot; None if no file left."""
    import pyarrow as pa
    import pyarrow.compute as pc

    left, kept = (
        [rows.select(key) for rows in _changed(s3, metadata, snapshot_id, is_deleted=is_deleted)]
        for is_deleted in (True, False)
    )
    if not left:
        return None
    gone = pa.concat_tables(left, promote_options="permissive")
    # Keys are made of both at once, so that they are comparable. A row that is in the files that left and in those that
    # took their place has not left.
    both = key_of(pa.concat_tables([gone, *kept], promote_options="permissive"), key)
    return gone.filter(pc.invert(pc.is_in(both[: gone.num_rows], value_set=both[gone.num_rows :])))


def _changed(s3: Any, metadata: TableMetadata, snapshot_id: int, *, is_deleted: bool) -> Iterator[pa.Table]:
    """The rows of each file that left the table in this snapshot, or of each file that came in it."""
    for uri, changed_in in data_files(s3, metadata, snapshot_id, is_deleted=is_deleted):
        if changed_in == snapshot_id:
            yield read_rows(s3, uri)
