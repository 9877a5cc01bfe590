"""The versions of a table, a commit each: what came and left with it, and which models learnt from what came.

version   what                       added  left  left with
rows-3    withdrawal of a.csv               12
rows-2    b.csv                         30
rows-1    a.csv                         12        rows-3"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from millrace.aws.objects import key_of_version
from millrace.datasets import notes
from millrace.datasets.journal import Journal, JournalEntry
from millrace.timestamps import parse_utc


@dataclass(frozen=True, kw_only=True)
class TableVersion:
    """What one commit made of a table."""

    version: str
    """The table, and the commit's number in it: `rows-12`."""
    at: datetime
    """When the drop came, else when it was committed; UTC."""
    what: str
    """`training/1996-05.parquet`, `withdrawal of training/1996-05.parquet`, …"""
    added: int
    left: int
    refused: int
    rows: int
    """All rows of the table after the commit."""
    learnt_by: tuple[str, ...]
    """The model versions whose training has read what came, the oldest first."""
    left_with: str
    """The version with which the rows that came have left; empty while the table has them."""
    source: str
    """The URI of the dropped object, with its version; empty without one."""
    by: str
    """Who has dropped it, "" if nobody knows."""
    repairs: str
    """The id of the drop whose refused rows it mends; empty for any other version."""
    cause: str
    """The drop's id, the name of the run, or the request of a withdrawal."""
    snapshot_id: int


def table_versions(
    journal: Journal, table: str, folder: str, trained: Mapping[str, int | None]
) -> Iterator[tuple[int, TableVersion]]:
    """The versions of a table, the newest first, with the times of their commits in milliseconds since 1970.

    `folder` is the workload's in the landing bucket. `trained` has the snapshot that each model version read."""
    places = {entry.snapshot_id: entry.place for entry in journal}
    names = {entry.written_by: entry.key for entry in journal}
    taken = dict[str, JournalEntry]()
    for entry in reversed([*journal]):
        # Rows that leave for others leave in a snapshot before, which has no digest; nor has the one that an erasure
        # leaves behind, of nothing.
        if not entry.digest and not {notes.COMPACTED, notes.LABELS_SNAPSHOT} & entry.notes.keys():
            continue
        last = taken.get(entry.key) if entry.rows_added else None
        until = last.place if last else math.inf
        learners = (version for version, read in trained.items() if entry.place <= places.get(read or 0, 0) < until)
        arrived = entry.notes.get(notes.ARRIVAL)
        yield (
            entry.committed_ms,
            TableVersion(
                version=f"{table}-{entry.place}",
                at=parse_utc(arrived) if arrived else datetime.fromtimestamp(entry.committed_ms / 1000, UTC),
                what=_what(entry, folder, names),
                added=entry.rows_added,
                left=int(entry.notes.get(notes.WITHDRAWN) or entry.rows_replaced),
                refused=entry.rows_refused,
                rows=entry.rows_total,
                learnt_by=tuple(learners) if entry.rows_added else (),
                left_with=f"{table}-{last.place}" if last else "",
                source=entry.uri if entry.key else "",
                by=entry.notes.get(notes.SENT_BY, ""),
                repairs=entry.notes.get(notes.REPAIRS, ""),
                cause=entry.written_by,
                snapshot_id=entry.snapshot_id,
            ),
        )
        gone = entry.notes.get(notes.REPLACED) or entry.notes.get(notes.WITHDRAWN_DROP)
        taken |= {gone: entry} if gone else {}


def _what(entry: JournalEntry, folder: str, names: Mapping[str, str]) -> str:
    name = entry.key.removeprefix(folder)
    if notes.WITHDRAWN in entry.notes:
        drop = entry.notes.get(notes.WITHDRAWN_DROP, "")
        return f"withdrawal of {drop.removeprefix(folder)}" if drop else "erasure of a person"
    if same := entry.notes.get(notes.ALIAS):
        return f"{name}: the bytes of {key_of_version(same).removeprefix(folder)}"
    if notes.SUPERSEDED in entry.notes:
        return f"{name}: an earlier version than the table's"
    if mends := entry.notes.get(notes.REPAIRS):
        return f"{name}, repairs {names.get(mends, mends).removeprefix(folder)}"
    if notes.REWRITTEN in entry.notes:
        return "the rows in other types"
    return name or ("small files put together" if notes.COMPACTED in entry.notes else "rows of labelled decisions")
