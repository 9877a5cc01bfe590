"""Writes what is known of each key after a commit: its newest rows with the labels that count, as they are now.

    snapshot of the mark   files a, b
    next snapshot          files a, b, c    rows of c came
    snapshot of now        files a, c, d    rows of b left, rows of d came: the keys of b, c and d are written anew

What a commit was does not matter (a drop, a correction, a withdrawal): its rows are the difference of two snapshots,
and a compaction has none. A call may be repeated, be left out or die half-way: the next one begins at the mark. It
looks at each snapshot since then, so it also finds the keys that a dead one has written and that have left since.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import chain, islice
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.expressions import AlwaysTrue, BooleanExpression, GreaterThanOrEqual
from pyiceberg.manifest import DataFile, ManifestEntryStatus
from pyiceberg.table import Table as IcebergTable

from millrace.contract.kinds import as_finite_json
from millrace.datasets.journal import JournalEntry
from millrace.datasets.labelled_rows import join
from millrace.datasets.labels import LabelColumns
from millrace.datasets.notes import REWRITTEN
from millrace.datasets.tables import Lake, rows_of
from millrace.features import catalogue as encoders
from millrace.features.as_of import entity_times
from millrace.features.known_past import KeyedColumns
from millrace.state.known_keys import Cells, RowsVersion, StoredKeys
from millrace.workload.declaration import Workload

MOST_ROWS = 8192
"""The most rows that are known of a key: two for each step of the longest history."""
AT_ONCE = 1_000_000
"""The rows that are held in memory beside the newest ones; of a larger change all keys are read."""
WRITERS, KEYS_AT_ONCE = 10, 1000
"""Calls of DynamoDB at a time, as many connections as boto3 keeps; and the keys that are made ready for them."""
FIRST_US = -62_135_596_800_000_000
"""The first moment of the calendar, in microseconds since 1970."""
STEP, SIGN = "_step", "_sign"
"""Columns of changed rows: the snapshot by its number, and whether the row came (1) or left (-1) with it."""


class KnownRows:
    """What is known of the keys of a workload. Without `known_keys` in its declaration nothing is read or written."""

    def __init__(self, lake: Lake, workload: Workload, client: Any) -> None:
        """`client` is boto3's DynamoDB client."""
        self._lake, self._stored = lake, StoredKeys(client, lake.names)
        declared = encoders.declare(workload.prediction.features, lake.contract.table("scoring"))
        self._keyed = KeyedColumns.of(workload, encoders.histories(declared))
        self._labels = LabelColumns.of(workload.prediction, lake.names.workload)
        known = {*self._keyed.columns} if self._keyed else set[str]()
        self._knows_labels = bool(known & {*self._labels.values})
        # A label of a decision whose row comes into the table with the next training, if no other cell is read of it.
        self._knows_decided = known <= {*self._labels.values} and workload.prediction.event_time in self._labels.key

    def refresh(self) -> int:
        """The number of keys that are written: all whose rows have changed since the last call.

        Call it after a commit. A repeated call writes nothing."""
        if self._keyed is None or (seen := self._look(self._keyed)) is None:
            return 0
        iceberg, version = seen
        mark = self._stored.mark()
        # The places of two tables or two declarations cannot be compared.
        if mark and (mark.declared, mark.origin) != (version.declared, version.origin):
            mark = None
        if mark and mark.place >= version.place:
            return 0
        change = self._changed(iceberg, mark, self._keyed) if mark else None
        written = self._write(iceberg, version, change, self._keyed)
        # A mark that is further is of another writer. If that has read all keys, it did not see which ones this call
        # was about to write: they are read once more, as they are now.
        if not self._stored.advance(version) and (now := self._look(self._keyed)):
            written += self._write(*now, change and replace(change, has_gone=True), self._keyed)
        return written

    def _look(self, keyed: KeyedColumns) -> tuple[IcebergTable, RowsVersion] | None:
        """The table as it is now. None before its first rows, and as long as it lacks a new column of the contract."""
        iceberg = self._lake.find("rows")
        snapshot = iceberg.current_snapshot() if iceberg else None
        if iceberg is None or snapshot is None or not {*keyed.names} <= {*iceberg.schema().column_names}:
            return None
        labels = self._lake.find("labels") if self._knows_labels else None
        learnt = labels.current_snapshot() if labels else None
        return iceberg, RowsVersion(
            declared=keyed.digest,
            origin=str(iceberg.metadata.table_uuid),
            place=(snapshot.sequence_number or 0) + ((learnt.sequence_number or 0) if learnt else 0),
            snapshot_id=snapshot.snapshot_id,
            labels_id=learnt.snapshot_id if learnt else 0,
        )

    def _changed(self, iceberg: IcebergTable, mark: RowsVersion, keyed: KeyedColumns) -> Changed | None:
        """What has changed since the mark, in the rows and in their labels."""
        labels = self._lake.find("labels") if self._knows_labels else None
        found = changed(iceberg, mark.snapshot_id, keyed, keyed.names)
        if labels is None or labels.current_snapshot() is None or found is None:
            return found
        told = changed(labels, mark.labels_id, keyed, (*self._labels.key, keyed.event_time, *self._labels.values))
        if told is None:
            return None
        # A label has the time of its row if that is a part of the key.
        is_dated = keyed.event_time in self._labels.key
        rows = pa.concat_tables([found.rows, told.rows.cast(found.rows.schema)])
        return Changed(
            rows=rows, has_gone=found.has_gone or told.has_gone or (not is_dated and bool(told.rows.num_rows))
        )

    def _write(self, iceberg: IcebergTable, version: RowsVersion, change: Changed | None, keyed: KeyedColumns) -> int:
        now, done = datetime.now(UTC), 0
        empty = self._stored.keys() if change is None else change.keys(keyed)

        def put(one: tuple[str, Cells]) -> bool:
            return self._stored.put(*one, version, now=now)

        names = tuple(dict.fromkeys((*keyed.names, *(self._labels.read if self._knows_labels else ()))))
        labels = self._lake.find("labels") if self._knows_decided else None
        tables = [iceberg, labels] if labels else [iceberg]
        rows = newest(chain.from_iterable(_parts(one, keyed, change, names) for one in tables), keyed)
        if rows is not None and self._knows_labels:
            rows = join(self._lake, self._labels, rows).joined()
        known = by_key(rows, keyed)
        with ThreadPoolExecutor(WRITERS) as threads:
            # Some keys at a time: the cells of all keys together might not fit into memory.
            while some := list(islice(known, KEYS_AT_ONCE)):
                done += sum(threads.map(put, some))
                empty -= {key for key, _ in some}
            done += sum(threads.map(put, ((key, {}) for key in empty)))
        return done


@dataclass(frozen=True, kw_only=True)
class Changed:
    """What has changed since a snapshot."""

    rows: pa.Table
    """Key and event time of each row that came, left or has got other cells."""
    has_gone: bool
    """Whether a row has left, which may have been the newest of its key."""

    def keys(self, keyed: KeyedColumns) -> set[str]:
        [times] = entity_times([self.rows], entity=keyed.entity, event_time=keyed.event_time)
        firsts = np.unique(times.entity_N, return_index=True)[1]
        return {keyed.key_of(row) for row in self.rows.take(firsts).to_pylist()}

    def since_us(self, keyed: KeyedColumns) -> int:
        """No known row of the keys is older than this, in microseconds since 1970.

        The newest row of a key is one that came, or a later one."""
        if self.has_gone:
            return FIRST_US
        [times] = entity_times([self.rows], entity=keyed.entity, event_time=keyed.event_time)
        newest_K = np.full(int(times.entity_N.max()) + 1, np.iinfo(np.int64).min)
        np.maximum.at(newest_K, times.entity_N, times.time_N)
        return max(FIRST_US, int(newest_K.min()) - keyed.hours_us)


def changed(iceberg: IcebergTable, before: int, keyed: KeyedColumns, names: Sequence[str]) -> Changed | None:
    """What has changed in these columns since the snapshot with the id `before`, in any snapshot.

    None if one of them has expired, or if more than AT_ONCE rows may have changed: then every key counts as changed."""
    files = files_since(iceberg, before)
    if files is None or sum(file.record_count for _, _, file in files) > AT_ONCE:
        return None
    place, has_gone = list(dict.fromkeys((*keyed.entity, keyed.event_time))), any(sign < 0 for _, sign, _ in files)
    names = list(dict.fromkeys(names)) if has_gone else place
    parts = [rows_of(iceberg, [], names)]
    for step, sign, file in files:
        part = rows_of(iceberg, [file], names)
        for name, number in ((STEP, step), (SIGN, sign)):
            part = part.append_column(name, pa.array(np.full(part.num_rows, number, np.int64)))
        parts.append(part)
    rows = pa.concat_tables(parts, promote_options="permissive")
    if has_gone:
        # A row that is in a file that left and in one that came with the same snapshot has only moved.
        rows = _unbalanced(rows, names)
        has_gone = bool((_unbalanced(rows, place)[SIGN].to_numpy() < 0).any())
    return Changed(rows=rows.select(place), has_gone=has_gone)


def newest(parts: Iterable[pa.Table], keyed: KeyedColumns) -> pa.Table | None:
    """The rows of each key that lie within `keyed.hours` before its newest one, at most MOST_ROWS of a key.

    They are in the order of the key, then of the time. None without a row."""
    held, rows, most = list[pa.Table](), 0, AT_ONCE
    for part in parts:
        held.append(part)
        rows += part.num_rows
        if rows > most:
            held = [_within(pa.concat_tables(held, promote_options="default"), keyed)]
            rows = held[0].num_rows
            most = max(AT_ONCE, 2 * rows)
    return _within(pa.concat_tables(held, promote_options="default"), keyed) if rows else None


def by_key(rows: pa.Table | None, keyed: KeyedColumns) -> Iterator[tuple[str, Cells]]:
    """Each key with its rows. `rows` are in the order of the key, then of the time."""
    if rows is None:
        return
    [times] = entity_times([rows], entity=keyed.entity, event_time=keyed.event_time)
    starts = [0, *(np.flatnonzero(np.diff(times.entity_N)) + 1).tolist()]
    for first, end in zip(starts, [*starts[1:], rows.num_rows], strict=True):
        cells = rows.slice(first, end - first).to_pydict()
        key = keyed.key_of({name: cells[name][0] for name in keyed.entity})
        yield key, {name: [as_finite_json(cell) for cell in cells[name]] for name in (keyed.event_time, *keyed.columns)}


def _within(rows: pa.Table, keyed: KeyedColumns) -> pa.Table:
    [times] = entity_times([rows], entity=keyed.entity, event_time=keyed.event_time)
    order = np.lexsort((times.time_N, times.entity_N))
    entity_N, time_N = times.entity_N[order], times.time_N[order]
    # The place behind the last row of each row's key.
    end_N = np.searchsorted(entity_N, entity_N, side="right")
    kept_N = time_N > time_N[end_N - 1] - keyed.hours_us
    kept_N &= end_N - np.arange(len(end_N)) <= MOST_ROWS
    return rows.take(order[kept_N]).combine_chunks()


def _parts(
    iceberg: IcebergTable, keyed: KeyedColumns, change: Changed | None, names: tuple[str, ...]
) -> Iterator[pa.Table]:
    """These columns of the rows of the keys that have changed, from as far back as they may be known; in parts."""
    which: BooleanExpression = AlwaysTrue()
    if change and not change.rows.num_rows:
        return
    if change and not change.has_gone:
        time = pa.scalar(change.since_us(keyed), change.rows.schema.field(keyed.event_time).type).as_py()
        which = GreaterThanOrEqual(term=keyed.event_time, value=time.isoformat())
    for batch in iceberg.scan(row_filter=which, selected_fields=names).to_arrow_batch_reader():
        part = pa.Table.from_batches([batch])
        if change:
            here, wanted = entity_times([part, change.rows], entity=keyed.entity, event_time=keyed.event_time)
            part = part.filter(pa.array(np.isin(here.entity_N, wanted.entity_N)))
        if part.num_rows:
            yield part


def files_since(iceberg: IcebergTable, before: int | None) -> list[tuple[int, int, DataFile]] | None:
    """Each data file that came (1) or left (-1) since the snapshot `before`, with the number of its snapshot from 0 on.

    All files if `before` is None, None if a snapshot since then has expired or has columns of other types."""
    signs, found = {ManifestEntryStatus.ADDED: 1, ManifestEntryStatus.DELETED: -1}, []
    snapshot, step, is_rewritten = iceberg.current_snapshot(), 0, False
    while snapshot is not None and snapshot.snapshot_id != before and not is_rewritten:
        own = [one for one in snapshot.manifests(iceberg.io) if one.added_snapshot_id == snapshot.snapshot_id]
        for entry in (entry for one in own for entry in one.fetch_manifest_entry(iceberg.io, discard_deleted=False)):
            if entry.status in signs and entry.snapshot_id == snapshot.snapshot_id:
                found.append((step, signs[entry.status], entry.data_file))
        is_rewritten = REWRITTEN in JournalEntry.of(snapshot).notes
        parent, step = snapshot.parent_snapshot_id, step + 1
        snapshot = None if parent is None else iceberg.snapshot_by_id(parent)
    return None if is_rewritten or (snapshot is None and before is not None) else found


def _unbalanced(rows: pa.Table, names: Iterable[str]) -> pa.Table:
    """The different cells of these columns whose signs do not add up to 0 in a snapshot, with the sum."""
    names = [*names, STEP]
    sums = rows.group_by(names).aggregate([(SIGN, "sum")]).rename_columns([*names, SIGN])
    return sums.filter(pc.not_equal(sums[SIGN], 0))
