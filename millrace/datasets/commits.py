"""Commits drops as snapshots of a table. A snapshot's summary has the drop's digest, so no bytes are added twice."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from pyiceberg.expressions import EqualTo
from pyiceberg.table import Table as IcebergTable

from millrace.contract.reasons import RowsByReason
from millrace.contract.schema import SOURCE
from millrace.datasets import notes
from millrace.datasets.changes import Attempt, Change, Turn, change
from millrace.datasets.journal import Journal, JournalEntry
from millrace.datasets.new_rows import NewRows, RowsInMemory, Source
from millrace.datasets.tables import Lake

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, kw_only=True)
class Commit:
    """What became of a drop."""

    snapshot_id: int
    rows_total: int
    """The rows of the table after the commit."""
    rows_added: int = 0
    rows_quarantined: int = 0
    """The rows that were refused by the contract, or for a key that the table holds; 0 for bytes that it had before."""
    reasons: RowsByReason = field(default_factory=dict)
    """The quarantined rows, by reason."""
    duplicate_of: str | None = None
    """The URI of the source that brought the same bytes before; None if the bytes are new."""
    refused_before: int = 0
    """How many rows of that source were refused when it came."""
    superseded_by: str | None = None
    """The URI of a later version of the same object that the table has taken; None if this one is the latest."""
    rows_replaced: int = 0
    """How many rows of an earlier version of the same object left for these."""


@dataclass(frozen=True, kw_only=True)
class NewDrop:
    """A drop on its way into a table."""

    source: Source
    write: Callable[[IcebergTable], NewRows]
    """Judges the rows and writes the data file: the validation function gives the method of a `RowsInFile`.

    It is called before each attempt, with the table as it is then. After an attempt that lost against another writer
    the keys are compared again. The quarantined rows are kept before the commit."""
    notes: Mapping[str, str] = field(default_factory=dict)
    """Further entries of the snapshot's summary."""


def commit_together(lake: Lake, table: str, drops: Sequence[NewDrop], *, turn: Turn = nullcontext) -> list[Commit]:
    """What became of each drop: each is in a snapshot of its own, all in one commit, once however often this is called.

    A drop is compared with the drops before it as with the rows of the table. `turn`: see `change`.
    Raises ConflictError if other writers win every time."""

    def plan(attempt: Attempt) -> list[Commit]:
        return [_take(attempt, drop, corrects=table == "labels") for drop in drops]

    return change(lake, table, plan, turn=turn)


def _take(attempt: Attempt, drop: NewDrop, *, corrects: bool) -> Commit:
    """What becomes of the drop if the attempt wins. The first case that holds decides:

    - This run has committed the drop before (a retry): its own result of then, whatever came since.
    - The table has taken a later version of this object: an empty snapshot says so once, no row is added.
    - These bytes came before, from another source: an empty snapshot says so once. The rows of an earlier version of
      this object leave all the same. But labels of the same bytes count as new if other labels came since: they correct
      those back.
    - Else: a snapshot with the drop's rows, in place of the rows of an earlier version of the object."""
    iceberg, source = attempt.table, drop.source
    journal = Journal.of(iceberg)
    if (own := find_own(journal, source)) is not None:
        return own
    summary = {notes.DIGEST: source.digest, notes.ORIGIN: source.uri, notes.WRITTEN_BY: source.written_by}
    summary |= {notes.SEQUENCER: source.sequencer} if source.sequencer else {}
    summary |= drop.notes
    earlier = find_commit(journal, source.digest, written_by=source.written_by)
    # The same bytes came before, and the table says so already: it may have them from this object as a duplicate.
    is_known = any(entry.uri == source.uri for entry in journal.with_digest(source.digest))
    if earlier is not None and (earlier.written_by == source.written_by or is_known):
        return _result(iceberg, earlier, source)
    if earlier is not None and corrects and _others_since(journal, source.digest):
        earlier = None
    # The table has a later version of this object: the versions came in another order.
    if (later := find_later(journal, source)) is not None:
        if not any(notes.SUPERSEDED in entry.notes and entry.uri == source.uri for entry in journal.about(source.key)):
            attempt.apply(Change(notes=summary | {notes.SUPERSEDED: later}))
        current = attempt.table.current_snapshot()
        assert current is not None
        return Commit(snapshot_id=current.snapshot_id, rows_total=rows_in(attempt.table), superseded_by=later)
    # This is the latest version of its object: an earlier one leaves, unless its rows are these very bytes. Rows of
    # these bytes may have been refused beside the version that leaves: then they are judged again.
    has_earlier = bool(source.sequencer) and bool(_versions(journal, source.key))
    replaces_rows = has_earlier and (earlier is None or earlier.key != source.key)
    instead = {notes.REPLACED: source.key} if replaces_rows else {}
    # Rows of these bytes that were refused may have been so for keys of the version that leaves now.
    is_there = earlier is not None and not (instead and earlier.rows_quarantined > 0)
    new = NewRows(files=(), quarantined={}) if is_there else drop.write(iceberg)
    if earlier is not None and not new.files:
        said = attempt.apply(_replacing(Change(notes=summary | {notes.ALIAS: earlier.uri} | instead)))
        return replace(_result(attempt.table, earlier, source), rows_replaced=said.rows_replaced)
    # A later version without a good row replaces nothing: the rows of the earlier version stay.
    instead = instead if new.files else {}
    said = attempt.apply(_replacing(Change(notes=summary | _counted(new) | instead, add=new.files)))
    return _result(attempt.table, said, source)


def _replacing(drop: Change) -> Change:
    """The change of a drop, by which the rows of the object that it replaces leave."""
    if notes.REPLACED not in drop.notes:
        return drop
    return replace(drop, remove=EqualTo(term=SOURCE, value=drop.notes[notes.REPLACED]), removed_as=notes.REPLACED_ROWS)


def _others_since(journal: Journal, digest: str) -> bool:
    """Whether rows of other bytes came after the last commit of these bytes."""
    last = max(entry.place for entry in journal.with_digest(digest) if entry.is_first)
    return any(entry.place > last and entry.digest and entry.rows_added for entry in journal)


def _counted(new: NewRows) -> dict[str, str]:
    """The numbers of these rows, as entries of a snapshot's summary."""
    reasons = {notes.REASONS: json.dumps(new.quarantined)} if new.quarantined else {}
    counts = {notes.UNLABELLED: new.unlabelled, notes.LABELLED_BEFORE: new.labelled_before}
    noted = {name: str(rows) for name, rows in counts.items() if rows}
    return {notes.QUARANTINED: str(sum(new.quarantined.values())), **reasons, **noted}


def commit(lake: Lake, table: str, rows: pa.Table, source: Source, *, notes: Mapping[str, str] | None = None) -> Commit:
    """As `commit_together`, for one drop whose rows are in memory: the contract's columns and `_line`.

    Rows with a key that the table holds are left out."""
    with TemporaryDirectory() as folder:
        found = RowsInMemory(lake, table, rows, source, Path(folder, "rows.parquet"))
        (done,) = commit_together(lake, table, [NewDrop(source=source, write=found.write, notes=notes or {})])
    return done


def find_commit(journal: Journal, digest: str, *, written_by: str = "") -> JournalEntry | None:
    """The commit that brought these bytes: the last one that `written_by` wrote, or else the first one.

    None if there is none, or if its rows have left: for a later version of the object, or by a withdrawal."""
    brought = [entry for entry in journal.with_digest(digest) if entry.is_first and not _has_left(journal, entry)]
    own = [entry for entry in brought if written_by and entry.written_by == written_by]
    return own[-1] if own else brought[0] if brought else None


def _has_left(journal: Journal, entry: JournalEntry) -> bool:
    """Whether the rows of this commit were replaced by a later version of the object, or withdrawn with their drop."""
    later = (each.notes for each in journal.about(entry.key) if each.place > entry.place)
    return any(entry.key in (each.get(notes.REPLACED), each.get(notes.WITHDRAWN_DROP)) for each in later)


def find_own(journal: Journal, source: Source) -> Commit | None:
    """The result that this very run had of the source before, as it was then; None if it had none."""
    mine = (
        entry
        for entry in journal.with_digest(source.digest)
        if (entry.written_by, entry.uri) == (source.written_by, source.uri)
    )
    found = next(mine, None)
    if found is None:
        return None
    duplicate_of = found.notes.get(notes.ALIAS)
    # The commit by which that object brought these bytes as new ones.
    first = next((one for one in journal.with_digest(source.digest) if one.uri == duplicate_of and one.is_first), None)
    return replace(
        _own_result(found, rows_total=found.rows_total),
        snapshot_id=first.snapshot_id if first else found.snapshot_id,
        duplicate_of=duplicate_of,
        refused_before=first.rows_refused if first else 0,
        superseded_by=found.notes.get(notes.SUPERSEDED),
    )


def _own_result(found: JournalEntry, *, rows_total: int) -> Commit:
    """The result of the drop that this commit brought."""
    return Commit(
        snapshot_id=found.snapshot_id,
        rows_total=rows_total,
        rows_added=found.rows_added,
        rows_quarantined=found.rows_quarantined,
        reasons=found.reasons,
        rows_replaced=found.rows_replaced,
    )


def find_later(journal: Journal, source: Source) -> str | None:
    """The URI of a later version of the same object that the table has taken; None if there is none.

    Also None for a source without a sequencer: nobody knows its place among the versions."""
    if not source.sequencer:
        return None
    taken = _versions(journal, source.key)
    later = (entry.uri for entry in taken if notes.is_later(entry.notes.get(notes.SEQUENCER, ""), source.sequencer))
    return next(later, None)


def _versions(journal: Journal, key: str) -> list[JournalEntry]:
    """The commits of all versions of the object that the table has taken, without the superseded ones."""
    return [entry for entry in journal.about(key) if entry.key == key and notes.SUPERSEDED not in entry.notes]


def rows_in(iceberg: IcebergTable) -> int:
    """The number of rows in the current snapshot."""
    snapshot = iceberg.current_snapshot()
    return JournalEntry.of(snapshot).rows_total if snapshot is not None else 0


def _result(iceberg: IcebergTable, found: JournalEntry, source: Source) -> Commit:
    """The result of a drop by the commit `found`: its own, or the one that brought the same bytes before."""
    total = rows_in(iceberg)
    if found.written_by == source.written_by:
        return _own_result(found, rows_total=total)
    return Commit(
        snapshot_id=found.snapshot_id, rows_total=total, duplicate_of=found.uri, refused_before=found.rows_refused
    )
