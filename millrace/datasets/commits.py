"""Drops become snapshots: the digest of each is in its snapshot's summary, so the same bytes are never added twice."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, TypeVar

from millrace.contract.reasons import RowsByReason
from millrace.datasets.journal import Journal, JournalEntry
from millrace.datasets.new_rows import NewRows, RowsInMemory, Source
from millrace.datasets.notes import (
    ALIAS,
    DIGEST,
    ORIGIN,
    QUARANTINED,
    REASONS,
    REPLACED,
    REPLACED_ROWS,
    SEQUENCER,
    SUPERSEDED,
    UNLABELLED,
    WITHDRAWN,
    WITHDRAWN_DROP,
    WRITTEN_BY,
    is_later,
)
from millrace.datasets.tables import SOURCE, Lake
from millrace.errors import ConflictError

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table as IcebergTable
    from pyiceberg.table import Transaction

Done = TypeVar("Done")
ATTEMPTS = 100
"""Of ten writers, as many as there are slots, nine lose at once: 20 attempts would fail one drop of eight, if all
ten had drops without end, these fail one in 38,000. Together with the pauses they stay within the function's time."""
PAUSE_S = 0.1
"""The first pause at most; each is twice the one before up to 2 s, and random, so that writers part."""


@dataclass(frozen=True, kw_only=True)
class Commit:
    """The result of a commit."""

    snapshot_id: int
    rows_added: int
    rows_total: int
    rows_quarantined: int
    """By the contract or for a key that the table holds; 0 where the same bytes were there before."""
    reasons: RowsByReason
    """Of those."""
    duplicate_of: str | None
    """The source that brought the same bytes before; None when these rows are new."""
    refused_before: int = 0
    """How many rows of that source were refused when it came."""
    is_withdrawn: bool = False
    """The rows of that source were withdrawn since."""
    superseded_by: str | None = None
    """The later version of the same object, which the table had before; None when this one is the latest."""
    rows_replaced: int = 0
    """Of an earlier version of the same object, which left for this one."""


@dataclass(frozen=True, kw_only=True)
class NewDrop:
    """A drop on its way into a table."""

    source: Source
    write: Callable[[IcebergTable], NewRows]
    """The caller's, as the validation function's is of `RowsInFile`. Called before each attempt with the table as it is
    then: an attempt that lost against another writer compares the keys again, and what it then quarantines is kept
    before the commit."""
    notes: Mapping[str, str] = field(default_factory=dict)
    """They go into the snapshot's summary."""


def commit_once(
    lake: Lake,
    table: str,
    source: Source,
    write: Callable[[IcebergTable], NewRows],
    *,
    notes: Mapping[str, str] | None = None,
) -> Commit:
    """The rows of `source` in one snapshot of `table`, once, however often it is called; as `commit_together`."""
    (done,) = commit_together(lake, table, [NewDrop(source=source, write=write, notes=notes or {})])
    return done


def commit_together(lake: Lake, table: str, drops: Sequence[NewDrop]) -> list[Commit]:
    """What became of each drop: all in one commit, each in a snapshot of its own, once, however often it is called.

    A drop is compared with those before it as with what the table holds. Raises ConflictError when other writers win
    every time."""

    def commit() -> list[Commit] | None:
        attempt = _Attempt(lake.open(table))
        done = [_take(attempt, drop, corrects=table == "labels") for drop in drops]
        return done if attempt.commit() else None

    return until_won(commit, f"{lake.names.table(table)}: expected the drops to be committed")


def _take(attempt: _Attempt, drop: NewDrop, *, corrects: bool) -> Commit:
    """What becomes of the drop if the attempt wins, in one of four ways:

    this run has committed before (a retry)        -> its own result, whatever came since
    a later version of this object came before     -> an empty snapshot says so once, no row is added
    these bytes came in before, by another source  -> an empty snapshot says so once; an earlier version of this object
                                                      leaves all the same
    … but of labels, and others came since             -> as the next: they correct those back
    else                                           -> a snapshot with its rows"""
    iceberg, source = attempt.table, drop.source
    journal = Journal.of(iceberg)
    if (own := find_own(journal, source)) is not None:
        return own
    placed = {SEQUENCER: source.sequencer} if source.sequencer else {}
    summary = {DIGEST: source.digest, ORIGIN: source.uri, WRITTEN_BY: source.written_by, **placed, **drop.notes}
    earlier = find_commit(journal, source.digest, written_by=source.written_by)
    if earlier is not None and (earlier.written_by == source.written_by or find_alias(journal, source)):
        return _result(iceberg, journal, earlier, source)
    if earlier is not None and corrects and _others_since(journal, source.digest):
        earlier = None
    if (later := find_later(journal, source)) is not None:
        if not is_recorded(journal, source):
            attempt.append(None, summary | {SUPERSEDED: later})
        return _superseded(attempt.table, later)
    replaces_rows = has_earlier(journal, source) and (earlier is None or earlier.key != source.key)
    instead = {REPLACED: source.key} if replaces_rows else {}
    is_there = earlier is not None and not (instead and _lacks_rows(journal, earlier))
    new = NewRows(file=None, quarantined={}) if is_there else drop.write(iceberg)
    if earlier is not None and new.file is None:
        said = attempt.append(None, summary | {ALIAS: earlier.uri} | instead)
        return replace(_result(attempt.table, journal, earlier, source), rows_replaced=said.rows_replaced)
    # A later version without a good row takes nothing's place: what was right before stays.
    instead = instead if new.file is not None else {}
    said = attempt.append(new.file, summary | _counted(new) | instead)
    return _result(attempt.table, journal, said, source)


def _others_since(journal: Journal, digest: str) -> bool:
    """Whether rows of other bytes came after the last that were of these."""
    last = max(entry.place for entry in journal.with_digest(digest) if entry.is_first)
    return any(entry.place > last and entry.digest and entry.rows_added for entry in journal)


def _counted(new: NewRows) -> dict[str, str]:
    reasons = {REASONS: json.dumps(new.quarantined)} if new.quarantined else {}
    unlabelled = {UNLABELLED: str(new.unlabelled)} if new.unlabelled else {}
    return {QUARANTINED: str(sum(new.quarantined.values())), **reasons, **unlabelled}


def commit(lake: Lake, table: str, rows: pa.Table, source: Source, *, notes: Mapping[str, str] | None = None) -> Commit:
    """As `commit_once`, for rows in memory (contract's columns and `_line`); those with a known key are left out."""
    with TemporaryDirectory() as folder:
        found = RowsInMemory(lake, table, rows, source, Path(folder, "rows.parquet"))
        return commit_once(lake, table, source, found.write, notes=notes)


def find_commit(journal: Journal, digest: str, *, written_by: str = "") -> JournalEntry | None:
    """The first commit that brought these bytes, or the one that this drop or run wrote; None also where a later
    version of their object took their place."""
    brought = [entry for entry in journal.with_digest(digest) if entry.is_first and not _is_replaced(journal, entry)]
    own = [entry for entry in brought if written_by and entry.written_by == written_by]
    return own[-1] if own else brought[0] if brought else None


def _is_replaced(journal: Journal, entry: JournalEntry) -> bool:
    return any(each.notes.get(REPLACED) == entry.key for each in journal.about(entry.key) if each.place > entry.place)


def find_own(journal: Journal, source: Source) -> Commit | None:
    """What this very run has made of the source before, as it was told then; None where it has made nothing."""
    mine = (
        entry
        for entry in journal.with_digest(source.digest)
        if (entry.written_by, entry.uri) == (source.written_by, source.uri)
    )
    found = next(mine, None)
    if found is None:
        return None
    duplicate_of = found.notes.get(ALIAS)
    first = _source_of_bytes(journal, duplicate_of, source.digest) if duplicate_of else None
    return Commit(
        snapshot_id=first.snapshot_id if first else found.snapshot_id,
        rows_added=found.rows_added,
        rows_total=found.rows_total,
        rows_quarantined=found.rows_quarantined,
        reasons=found.reasons,
        duplicate_of=duplicate_of,
        refused_before=first.rows_refused if first else 0,
        is_withdrawn=first is not None and _is_withdrawn(journal, first),
        superseded_by=found.notes.get(SUPERSEDED),
        rows_replaced=found.rows_replaced,
    )


def _source_of_bytes(journal: Journal, uri: str, digest: str) -> JournalEntry | None:
    return next((entry for entry in journal.with_digest(digest) if entry.uri == uri and entry.is_first), None)


def find_alias(journal: Journal, source: Source) -> bool:
    """Whether this object is already recorded as a duplicate."""
    return any(entry.uri == source.uri for entry in journal.with_digest(source.digest))


def find_later(journal: Journal, source: Source) -> str | None:
    """The URI of a later version of the same object that the table has taken; None where there is none.

    None for a source without a sequencer as well: nobody knows its place."""
    if not source.sequencer:
        return None
    taken = _versions(journal, source.key)
    later = (entry.uri for entry in taken if is_later(entry.notes.get(SEQUENCER, ""), source.sequencer))
    return next(later, None)


def has_earlier(journal: Journal, source: Source) -> bool:
    """Whether the table has taken another version of the same object; call it where `find_later` finds none."""
    return bool(source.sequencer) and bool(_versions(journal, source.key))


def _versions(journal: Journal, key: str) -> list[JournalEntry]:
    """The versions of the object that the table has taken."""
    return [entry for entry in journal.about(key) if entry.key == key and SUPERSEDED not in entry.notes]


def is_recorded(journal: Journal, source: Source) -> bool:
    """Whether the table says already that this version is superseded."""
    return any(SUPERSEDED in entry.notes and entry.uri == source.uri for entry in journal.about(source.key))


def rows_in(iceberg: IcebergTable) -> int:
    """The rows of the current snapshot."""
    snapshot = iceberg.current_snapshot()
    return JournalEntry.of(snapshot).rows_total if snapshot is not None else 0


def _result(iceberg: IcebergTable, journal: Journal, found: JournalEntry, source: Source) -> Commit:
    mine = found.written_by == source.written_by
    return Commit(
        snapshot_id=found.snapshot_id,
        rows_added=found.rows_added if mine else 0,
        rows_total=rows_in(iceberg),
        rows_quarantined=found.rows_quarantined if mine else 0,
        reasons=found.reasons if mine else {},
        duplicate_of=None if mine else found.uri,
        refused_before=0 if mine else found.rows_refused,
        is_withdrawn=not mine and _is_withdrawn(journal, found),
        rows_replaced=found.rows_replaced if mine else 0,
    )


def _superseded(iceberg: IcebergTable, later: str) -> Commit:
    current = iceberg.current_snapshot()
    assert current is not None
    return Commit(
        snapshot_id=current.snapshot_id,
        rows_added=0,
        rows_total=rows_in(iceberg),
        rows_quarantined=0,
        reasons={},
        duplicate_of=None,
        superseded_by=later,
    )


def _is_withdrawn(journal: Journal, found: JournalEntry) -> bool:
    """Whether the drop of these rows was withdrawn after their commit."""
    after = (entry for entry in journal.about(found.key) if entry.place >= found.place)
    return any(entry.notes.get(WITHDRAWN_DROP) == found.key for entry in after)


def _lacks_rows(journal: Journal, found: JournalEntry) -> bool:
    """Whether rows of these bytes may have been refused beside a version that leaves now; withdrawn ones stay away."""
    return found.rows_quarantined > 0 and not _is_withdrawn(journal, found)


class _Attempt:
    """Snapshots on top of a table, which others see all at once or not at all."""

    def __init__(self, iceberg: IcebergTable) -> None:
        self._iceberg = iceberg
        self._transaction: Transaction | None = None

    @property
    def table(self) -> IcebergTable:
        """The table as it will be."""
        if self._transaction is None:
            return self._iceberg
        return type(self._iceberg)(
            identifier=self._iceberg.name(),
            metadata=self._transaction.table_metadata,
            metadata_location=self._iceberg.metadata_location,
            io=self._iceberg.io,
            catalog=self._iceberg.catalog,
        )

    def append(self, file: DataFile | None, summary: dict[str, str]) -> JournalEntry:
        """Add a snapshot, and what it says. Without a file it holds no new rows: it records why the drop brought none.

        Where the summary names what is replaced, the rows of that drop leave in a snapshot before it."""
        from pyiceberg.expressions import EqualTo

        before = EqualTo(term=SOURCE, value=summary.get(REPLACED, ""))
        rows = self.table.scan(row_filter=before).count() if REPLACED in summary else 0
        from millrace.datasets.iceberg import begin

        transaction = self._transaction = self._transaction or begin(self._iceberg)
        if rows:  # they may have been withdrawn
            transaction.delete(before, snapshot_properties={WRITTEN_BY: summary[WRITTEN_BY], WITHDRAWN: str(rows)})
            summary = summary | {REPLACED_ROWS: str(rows)}
        with transaction.update_snapshot(snapshot_properties=summary).merge_append() as append:
            if file is not None:
                append.append_data_file(file)
        snapshot = self.table.current_snapshot()
        assert snapshot is not None
        return JournalEntry.of(snapshot)

    def commit(self) -> bool:
        """Whether the snapshots are in the table for certain, where there are any; False when another writer was first
        or the outcome is unknown."""
        return self._transaction is None or try_commit(self._transaction)


def try_commit(transaction: Transaction) -> bool:
    """Whether the transaction is in the table for certain; False when another writer was first, or the outcome is
    unknown: the next attempt looks at the table first, so that "perhaps" never becomes "twice"."""
    from botocore.exceptions import BotoCoreError, ClientError
    from pyiceberg.exceptions import CommitFailedException

    try:
        transaction.commit_transaction()
    except (CommitFailedException, BotoCoreError):
        return False
    except ClientError as error:
        if error.response["Error"]["Code"] in ("AccessDeniedException", "EntityNotFoundException"):
            raise
        return False
    return True


def until_won(attempt: Callable[[], Done | None], expected: str) -> Done:
    """What the first attempt gives that does not lose, which is None; each looks at the table anew.

    Raises ConflictError with `expected` when other writers win every time."""
    for number in range(ATTEMPTS):
        if (done := attempt()) is not None:
            return done
        longest_s = min(2.0, PAUSE_S * 2**number)
        time.sleep(random.uniform(0, longest_s))  # noqa: S311 # nosec B311 # parts writers, guards nothing
    raise ConflictError(f"{expected}, others won {ATTEMPTS} times")
