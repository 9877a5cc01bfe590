"""Drops become snapshots: the digest of each is in its snapshot's summary, so the same bytes are never added twice."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from millrace.datasets.new_rows import NewRows, RowsInMemory, Source
from millrace.datasets.notes import (
    ORIGIN,
    REPLACED,
    SEQUENCER,
    SUPERSEDED,
    WITHDRAWN,
    WITHDRAWN_DROP,
    find_later,
    has_earlier,
    is_recorded,
    key_of,
    notes_of,
    replaces,
)
from millrace.datasets.tables import SOURCE, Lake
from millrace.errors import ConflictError

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table as IcebergTable
    from pyiceberg.table import Transaction
    from pyiceberg.table.snapshots import Snapshot

DIGEST, WRITTEN_BY, ALIAS = "millrace.source-digest", "millrace.run", "millrace.alias-of"
QUARANTINED = "millrace.rows-quarantined"
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
    alias_of: str | None
    """The source that brought the same bytes before; None when these rows are new."""
    is_withdrawn: bool = False
    """The rows of that source were withdrawn since."""
    superseded_by: str | None = None
    """The later version of the same object, which the table had before; None when this one is the latest."""


@dataclass(frozen=True, kw_only=True)
class NewDrop:
    """A drop on its way into a table."""

    source: Source
    write: Callable[[IcebergTable], NewRows]
    """Called before each attempt with the table as it is then: an attempt that lost against another writer compares
    the keys again, and what it then quarantines is kept before the commit."""
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
    for pause_s in pauses():
        attempt = _Attempt(lake.open(table))
        done = [_take(attempt, drop) for drop in drops]
        if attempt.commit():
            return done
        time.sleep(pause_s)
    raise ConflictError(f"{lake.names.table(table)}: expected one of {ATTEMPTS} commits to win, none did")


def _take(attempt: _Attempt, drop: NewDrop) -> Commit:
    """What becomes of the drop if the attempt wins, in one of four ways:

    this run has committed before (a retry)        -> its own result, whatever came since
    a later version of this object came before     -> an empty snapshot says so once, no row is added
    these bytes came in before, by another source  -> an empty snapshot says so once; an earlier version of this object
                                                      leaves all the same
    else                                           -> a snapshot with its rows"""
    iceberg, source = attempt.table, drop.source
    if (own := find_own(iceberg, source)) is not None:
        return own
    placed = {SEQUENCER: source.sequencer} if source.sequencer else {}
    summary = {DIGEST: source.digest, ORIGIN: source.uri, WRITTEN_BY: source.written_by, **placed, **drop.notes}
    earlier = find_commit(iceberg, source.digest, written_by=source.written_by)
    if earlier is not None and (earlier.written_by == source.written_by or find_alias(iceberg, source)):
        return _result(iceberg, earlier, source)
    if (later := find_later(iceberg, source)) is not None:
        if not is_recorded(iceberg, source):
            attempt.append(None, summary | {SUPERSEDED: later})
        return _superseded(attempt.table, later)
    replaces_rows = has_earlier(iceberg, source) and (earlier is None or earlier.key != source.key)
    instead = {REPLACED: source.key} if replaces_rows else {}
    is_there = earlier is not None and not (instead and _lacks_rows(iceberg, earlier))
    new = NewRows(file=None, quarantined=0) if is_there else drop.write(iceberg)
    if earlier is not None and new.file is None:
        attempt.append(None, summary | {ALIAS: earlier.uri} | instead)
        return _result(attempt.table, earlier, source)
    # A later version without a good row takes nothing's place: what was right before stays.
    instead = instead if new.file is not None else {}
    attempt.append(new.file, summary | {QUARANTINED: str(new.quarantined)} | instead)
    return _result(attempt.table, _found(attempt.table.current_snapshot()), source)


def commit(lake: Lake, table: str, rows: pa.Table, source: Source, *, notes: Mapping[str, str] | None = None) -> Commit:
    """As `commit_once`, for rows in memory (contract's columns and `_line`); those with a known key are left out."""
    with TemporaryDirectory() as folder:
        found = RowsInMemory(lake, table, rows, source, Path(folder, "rows.parquet"))
        return commit_once(lake, table, source, found.write, notes=notes)


@dataclass(frozen=True, kw_only=True)
class Found:
    """A commit that is in the table already."""

    snapshot_id: int
    uri: str
    written_by: str
    rows_added: int
    rows_quarantined: int

    @property
    def key(self) -> str:
        """The landing key of the source."""
        return key_of(self.uri)


def find_commit(iceberg: IcebergTable, digest: str, *, written_by: str = "") -> Found | None:
    """The first commit that brought these bytes, or the one that this drop or run wrote; None also where a later
    version of their object took their place."""
    found: Found | None = None
    for snapshot in iceberg.metadata.snapshots:
        summary = notes_of(snapshot)
        if found is not None and replaces(summary, found.uri):
            found = None
        brings = summary.get(DIGEST) == digest and ALIAS not in summary and SUPERSEDED not in summary
        if brings and (found is None or summary.get(WRITTEN_BY) == written_by):
            found = _found(snapshot)
    return found


def find_own(iceberg: IcebergTable, source: Source) -> Commit | None:
    """What this very run has made of the source before, as it was told then; None where it has made nothing."""
    for snapshot in iceberg.metadata.snapshots:
        summary = notes_of(snapshot)
        if (summary.get(WRITTEN_BY), summary.get(ORIGIN), summary.get(DIGEST)) == (
            source.written_by,
            source.uri,
            source.digest,
        ):
            break
    else:
        return None
    found, alias_of = _found(snapshot), summary.get(ALIAS)
    first = _source_of_bytes(iceberg, alias_of, source.digest) if alias_of else None
    return Commit(
        snapshot_id=first.snapshot_id if first else found.snapshot_id,
        rows_added=found.rows_added,
        rows_total=int(summary.get("total-records", "0") or 0),
        rows_quarantined=found.rows_quarantined,
        alias_of=alias_of,
        is_withdrawn=first is not None and _is_withdrawn(iceberg, first),
        superseded_by=summary.get(SUPERSEDED),
    )


def _source_of_bytes(iceberg: IcebergTable, uri: str, digest: str) -> Found | None:
    """The commit of this object's rows; None once its snapshot has expired."""
    for snapshot in iceberg.metadata.snapshots:
        summary = notes_of(snapshot)
        if (summary.get(ORIGIN), summary.get(DIGEST)) == (uri, digest) and not {ALIAS, SUPERSEDED} & summary.keys():
            return _found(snapshot)
    return None


def find_alias(iceberg: IcebergTable, source: Source) -> bool:
    """Whether this object is already recorded as a duplicate."""
    for snapshot in iceberg.metadata.snapshots:
        summary = snapshot.summary
        if summary is not None and summary.get(DIGEST) == source.digest and summary.get(ORIGIN) == source.uri:
            return True
    return False


def rows_in(iceberg: IcebergTable) -> int:
    """The rows of the current snapshot."""
    snapshot = iceberg.current_snapshot()
    if snapshot is None or snapshot.summary is None:
        return 0
    return int(snapshot.summary.get("total-records", "0") or 0)


def _found(snapshot: Snapshot | None) -> Found:
    assert snapshot is not None
    assert snapshot.summary is not None
    summary = snapshot.summary
    return Found(
        snapshot_id=snapshot.snapshot_id,
        uri=str(summary.get(ORIGIN)),
        written_by=str(summary.get(WRITTEN_BY)),
        rows_added=int(summary.get("added-records", "0") or 0),
        rows_quarantined=int(summary.get(QUARANTINED) or 0),
    )


def _result(iceberg: IcebergTable, found: Found, source: Source) -> Commit:
    mine = found.written_by == source.written_by
    return Commit(
        snapshot_id=found.snapshot_id,
        rows_added=found.rows_added if mine else 0,
        rows_total=rows_in(iceberg),
        rows_quarantined=found.rows_quarantined if mine else 0,
        alias_of=None if mine else found.uri,
        is_withdrawn=not mine and _is_withdrawn(iceberg, found),
    )


def _superseded(iceberg: IcebergTable, later: str) -> Commit:
    current = iceberg.current_snapshot()
    assert current is not None
    return Commit(
        snapshot_id=current.snapshot_id,
        rows_added=0,
        rows_total=rows_in(iceberg),
        rows_quarantined=0,
        alias_of=None,
        superseded_by=later,
    )


def _is_withdrawn(iceberg: IcebergTable, found: Found) -> bool:
    """Whether the drop of these rows was withdrawn after their commit."""
    snapshots = iceberg.metadata.snapshots
    at = next(place for place, snapshot in enumerate(snapshots) if snapshot.snapshot_id == found.snapshot_id)
    key = key_of(found.uri)
    summaries = [snapshot.summary for snapshot in snapshots[at:] if snapshot.summary is not None]
    return any(summary.get(WITHDRAWN_DROP) == key for summary in summaries)


def _lacks_rows(iceberg: IcebergTable, found: Found) -> bool:
    """Whether rows of these bytes may have been refused beside a version that leaves now; withdrawn ones stay away."""
    return found.rows_quarantined > 0 and not _is_withdrawn(iceberg, found)


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

    def append(self, file: DataFile | None, summary: dict[str, str]) -> None:
        """Add a snapshot. Without a file it holds no new rows: it records why the drop brought none.

        Where the summary names what is replaced, the rows of that drop leave in a snapshot before it."""
        from pyiceberg.expressions import EqualTo

        before = EqualTo(term=SOURCE, value=summary.get(REPLACED, ""))
        rows = self.table.scan(row_filter=before).count() if REPLACED in summary else 0
        from millrace.datasets.iceberg import begin

        transaction = self._transaction = self._transaction or begin(self._iceberg)
        if rows:  # they may have been withdrawn
            transaction.delete(before, snapshot_properties={WRITTEN_BY: summary[WRITTEN_BY], WITHDRAWN: str(rows)})
        with transaction.update_snapshot(snapshot_properties=summary).merge_append() as append:
            if file is not None:
                append.append_data_file(file)

    def commit(self) -> bool:
        """Whether the snapshots are in the table for certain, where there are any; False when another writer was first
        or the outcome is unknown."""
        from botocore.exceptions import BotoCoreError, ClientError
        from pyiceberg.exceptions import CommitFailedException

        if self._transaction is None:
            return True
        try:
            self._transaction.commit_transaction()
        except CommitFailedException:
            return False
        # With any other error the commit may have arrived all the same (a lost answer). The next attempt begins by
        # looking for its digests in the table, so that "perhaps" never becomes "twice".
        except ClientError as error:
            if error.response["Error"]["Code"] in ("AccessDeniedException", "EntityNotFoundException"):
                raise
            return False
        except BotoCoreError:
            return False
        return True


def pauses() -> Iterator[float]:
    """Seconds to wait after each of the attempts that lost."""
    for attempt in range(ATTEMPTS):
        yield random.uniform(0, min(2.0, PAUSE_S * 2**attempt))  # noqa: S311 # nosec B311 # parts writers, guards nothing
