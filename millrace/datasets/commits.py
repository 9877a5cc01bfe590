"""Commits drops as snapshots of a table. A snapshot's summary has the drop's digest, so no bytes are added twice."""

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
"""The most attempts at a commit. There are as many writers as slots, ten, and nine of them lose at a time. If all ten
had drops without end, 20 attempts would fail one drop in eight, 100 attempts one in 38,000. With their pauses the
attempts stay within the function's time."""
PAUSE_S = 0.1
"""The longest first pause, in seconds. Each further one may be twice as long, up to 2 s. Pauses are random, so that
writers do not meet again."""


@dataclass(frozen=True, kw_only=True)
class Commit:
    """What became of a drop."""

    snapshot_id: int
    rows_added: int
    rows_total: int
    """The rows of the table after the commit."""
    rows_quarantined: int
    """The rows that were refused by the contract, or for a key that the table holds; 0 for bytes that it had before."""
    reasons: RowsByReason
    """The quarantined rows, by reason."""
    duplicate_of: str | None
    """The URI of the source that brought the same bytes before; None if the bytes are new."""
    refused_before: int = 0
    """How many rows of that source were refused when it came."""
    is_withdrawn: bool = False
    """Whether the rows of that source have been withdrawn since."""
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


def commit_once(
    lake: Lake,
    table: str,
    source: Source,
    write: Callable[[IcebergTable], NewRows],
    *,
    notes: Mapping[str, str] | None = None,
) -> Commit:
    """What became of one drop: its rows are in one snapshot of `table`, once, however often this is called.

    As `commit_together`, for one drop."""
    (done,) = commit_together(lake, table, [NewDrop(source=source, write=write, notes=notes or {})])
    return done


def commit_together(lake: Lake, table: str, drops: Sequence[NewDrop]) -> list[Commit]:
    """What became of each drop: each is in a snapshot of its own, all in one commit, once however often this is called.

    A drop is compared with the drops before it as with the rows of the table. Raises ConflictError if other writers win
    every time."""

    def commit() -> list[Commit] | None:
        attempt = _Attempt(lake.open(table))
        done = [_take(attempt, drop, corrects=table == "labels") for drop in drops]
        return done if attempt.commit() else None

    return until_won(commit, f"{lake.names.table(table)}: expected the drops to be committed")


def _take(attempt: _Attempt, drop: NewDrop, *, corrects: bool) -> Commit:
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
    placed = {SEQUENCER: source.sequencer} if source.sequencer else {}
    summary = {DIGEST: source.digest, ORIGIN: source.uri, WRITTEN_BY: source.written_by, **placed, **drop.notes}
    earlier = find_commit(journal, source.digest, written_by=source.written_by)
    # The same bytes came before, and the table says so already.
    if earlier is not None and (earlier.written_by == source.written_by or find_alias(journal, source)):
        return _result(iceberg, journal, earlier, source)
    if earlier is not None and corrects and _others_since(journal, source.digest):
        earlier = None
    # The table has a later version of this object: the versions came in another order.
    if (later := find_later(journal, source)) is not None:
        if not is_recorded(journal, source):
            attempt.append(None, summary | {SUPERSEDED: later})
        return _superseded(attempt.table, later)
    # This is the latest version of its object: an earlier one leaves, unless its rows are these very bytes. Rows of
    # these bytes may have been refused beside the version that leaves: then they are judged again.
    replaces_rows = has_earlier(journal, source) and (earlier is None or earlier.key != source.key)
    instead = {REPLACED: source.key} if replaces_rows else {}
    is_there = earlier is not None and not (instead and _lacks_rows(journal, earlier))
    new = NewRows(file=None, quarantined={}) if is_there else drop.write(iceberg)
    if earlier is not None and new.file is None:
        said = attempt.append(None, summary | {ALIAS: earlier.uri} | instead)
        return replace(_result(attempt.table, journal, earlier, source), rows_replaced=said.rows_replaced)
    # A later version without a good row replaces nothing: the rows of the earlier version stay.
    instead = instead if new.file is not None else {}
    said = attempt.append(new.file, summary | _counted(new) | instead)
    return _result(attempt.table, journal, said, source)


def _others_since(journal: Journal, digest: str) -> bool:
    """Whether rows of other bytes came after the last commit of these bytes."""
    last = max(entry.place for entry in journal.with_digest(digest) if entry.is_first)
    return any(entry.place > last and entry.digest and entry.rows_added for entry in journal)


def _counted(new: NewRows) -> dict[str, str]:
    """The numbers of quarantined and of unlabelled rows, as entries of a snapshot's summary."""
    reasons = {REASONS: json.dumps(new.quarantined)} if new.quarantined else {}
    unlabelled = {UNLABELLED: str(new.unlabelled)} if new.unlabelled else {}
    return {QUARANTINED: str(sum(new.quarantined.values())), **reasons, **unlabelled}


def commit(lake: Lake, table: str, rows: pa.Table, source: Source, *, notes: Mapping[str, str] | None = None) -> Commit:
    """As `commit_once`, for rows in memory: the contract's columns and `_line`.

    Rows with a key that the table holds are left out."""
    with TemporaryDirectory() as folder:
        found = RowsInMemory(lake, table, rows, source, Path(folder, "rows.parquet"))
        return commit_once(lake, table, source, found.write, notes=notes)


def find_commit(journal: Journal, digest: str, *, written_by: str = "") -> JournalEntry | None:
    """The commit that brought these bytes: the last one that `written_by` wrote, or else the first one.

    None if there is none, or if a later version of the object has replaced the rows."""
    brought = [entry for entry in journal.with_digest(digest) if entry.is_first and not _is_replaced(journal, entry)]
    own = [entry for entry in brought if written_by and entry.written_by == written_by]
    return own[-1] if own else brought[0] if brought else None


def _is_replaced(journal: Journal, entry: JournalEntry) -> bool:
    """Whether a later version of the object has replaced the rows of this commit."""
    return any(each.notes.get(REPLACED) == entry.key for each in journal.about(entry.key) if each.place > entry.place)


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
    """The commit by which this object brought these bytes as new ones."""
    return next((entry for entry in journal.with_digest(digest) if entry.uri == uri and entry.is_first), None)


def find_alias(journal: Journal, source: Source) -> bool:
    """Whether the table has an entry for these bytes from this object, for example as a duplicate."""
    return any(entry.uri == source.uri for entry in journal.with_digest(source.digest))


def find_later(journal: Journal, source: Source) -> str | None:
    """The URI of a later version of the same object that the table has taken; None if there is none.

    Also None for a source without a sequencer: nobody knows its place among the versions."""
    if not source.sequencer:
        return None
    taken = _versions(journal, source.key)
    later = (entry.uri for entry in taken if is_later(entry.notes.get(SEQUENCER, ""), source.sequencer))
    return next(later, None)


def has_earlier(journal: Journal, source: Source) -> bool:
    """Whether the table has taken an earlier version of the same object. Call it if `find_later` has found none."""
    return bool(source.sequencer) and bool(_versions(journal, source.key))


def _versions(journal: Journal, key: str) -> list[JournalEntry]:
    """The commits of all versions of the object that the table has taken, without the superseded ones."""
    return [entry for entry in journal.about(key) if entry.key == key and SUPERSEDED not in entry.notes]


def is_recorded(journal: Journal, source: Source) -> bool:
    """Whether an entry of the table already says that this version is superseded."""
    return any(SUPERSEDED in entry.notes and entry.uri == source.uri for entry in journal.about(source.key))


def rows_in(iceberg: IcebergTable) -> int:
    """The number of rows in the current snapshot."""
    snapshot = iceberg.current_snapshot()
    return JournalEntry.of(snapshot).rows_total if snapshot is not None else 0


def _result(iceberg: IcebergTable, journal: Journal, found: JournalEntry, source: Source) -> Commit:
    """The result of a drop by the commit `found`: its own, or the one that brought the same bytes before."""
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
    """The result of a version for which the table has a later one."""
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
    """Whether rows of these bytes were refused, perhaps for keys of the version that leaves now.

    Withdrawn rows do not come back."""
    return found.rows_quarantined > 0 and not _is_withdrawn(journal, found)


class _Attempt:
    """Snapshots on top of a table in one transaction: others see all of them at once, or none."""

    def __init__(self, iceberg: IcebergTable) -> None:
        self._iceberg = iceberg
        self._transaction: Transaction | None = None

    @property
    def table(self) -> IcebergTable:
        """The table as it will be after the commit, with the snapshots so far."""
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
        """Add a snapshot with this file and this summary; returns the entry of the snapshot.

        Without a file the snapshot has no new rows: it records why the drop brought none. If the summary names an
        object whose rows are replaced, these rows leave in a snapshot before it."""
        from pyiceberg.expressions import EqualTo

        before = EqualTo(term=SOURCE, value=summary.get(REPLACED, ""))
        rows = self.table.scan(row_filter=before).count() if REPLACED in summary else 0
        from millrace.datasets.iceberg import begin

        transaction = self._transaction = self._transaction or begin(self._iceberg)
        if rows:  # none if they have been withdrawn
            transaction.delete(before, snapshot_properties={WRITTEN_BY: summary[WRITTEN_BY], WITHDRAWN: str(rows)})
            summary = summary | {REPLACED_ROWS: str(rows)}
        with transaction.update_snapshot(snapshot_properties=summary).merge_append() as append:
            if file is not None:
                append.append_data_file(file)
        snapshot = self.table.current_snapshot()
        assert snapshot is not None
        return JournalEntry.of(snapshot)

    def commit(self) -> bool:
        """As `try_commit`; True if there is nothing to commit."""
        return self._transaction is None or try_commit(self._transaction)


def try_commit(transaction: Transaction) -> bool:
    """Whether the transaction is in the table for certain.

    False if another writer was first, or if the outcome is unknown. The next attempt looks at the table first, so
    "perhaps" never becomes "twice"."""
    from botocore.exceptions import BotoCoreError, ClientError
    from pyiceberg.exceptions import CommitFailedException

    try:
        transaction.commit_transaction()
    except (CommitFailedException, BotoCoreError):
        return False
    except ClientError as error:
        # A further attempt would meet these errors again.
        if error.response["Error"]["Code"] in ("AccessDeniedException", "EntityNotFoundException"):
            raise
        return False
    return True


def until_won(attempt: Callable[[], Done | None], expected: str) -> Done:
    """The result of the first attempt that wins. An attempt that loses returns None; each looks at the table anew.

    Raises ConflictError with `expected` if other writers win every time."""
    for number in range(ATTEMPTS):
        if (done := attempt()) is not None:
            return done
        longest_s = min(2.0, PAUSE_S * 2**number)
        time.sleep(random.uniform(0, longest_s))  # noqa: S311 # nosec B311 # parts writers, guards nothing
    raise ConflictError(f"{expected}, others won {ATTEMPTS} times")
