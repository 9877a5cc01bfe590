"""Cuts accepted rows into shards for batch transform: Arrow IPC streams of row numbers and the model's columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from millrace.artefact.batch import ROW, write_stream
from millrace.contract.reasons import Reason, RowsByReason
from millrace.contract.schema import LINE, Table, parsed_schema
from millrace.contract.validate import refuse, unlisted
from millrace.contract.violation import RuleViolation
from millrace.datasets.labelled_rows import columns_of
from millrace.datasets.new_rows import Quarantine, parts, screen
from millrace.datasets.quarantine import QuarantineFile
from millrace.features.history import History
from millrace.features.known_ahead import KnownAhead

END_BYTES = 64
"""An upper bound of the bytes of the mark at a stream's end and of the padding of its schema."""


class Shards:
    """Writes rows, in order, as shards of at most `limit` bytes. Only the shard that is being filled is in memory.

    A row that is larger than the limit is a shard of its own. `put` takes the number of the shard, from 0, and its
    bytes."""

    def __init__(self, put: Callable[[int, bytes], object], columns: Sequence[str], *, limit: int) -> None:
        self.number = 0
        self._put, self._columns, self._limit = put, list(columns), limit
        self._batches: list[pa.RecordBatch] = []
        self._bytes = 0

    def add(self, rows: pa.Table) -> None:
        """Add a part of the accepted rows: the contract's columns and `_line`."""
        # A stream has a schema, record batches and an end. A shard is full when the next batch would not fit.
        chosen = rows.select([LINE, *self._columns]).rename_columns([ROW, *self._columns])
        room = self._limit - chosen.schema.serialize().size - END_BYTES
        for batch in chosen.combine_chunks().to_batches():
            for piece in _pieces(batch, room):
                size = pa.ipc.get_record_batch_size(piece)
                if self._bytes + size > room:
                    self.finish()
                self._batches.append(piece)
                self._bytes += size

    def finish(self) -> None:
        """Put the shard that is being filled. It is called once more at the end."""
        if self._batches:
            self._put(self.number, write_stream(self._batches))
            self.number += 1
            self._batches, self._bytes = [], 0


def _pieces(batch: pa.RecordBatch, room: int) -> Iterator[pa.RecordBatch]:
    """The batch in pieces that fit into `room` bytes, halved again and again; a single row is never cut."""
    if batch.num_rows <= 1 or pa.ipc.get_record_batch_size(batch) <= room:
        if batch.num_rows:
            yield batch
        return
    half = batch.num_rows // 2
    yield from _pieces(batch.slice(0, half), room)
    yield from _pieces(batch.slice(half), room)


@dataclass(frozen=True, kw_only=True)
class Staged:
    """What became of the rows of a drop."""

    rows: int
    """The accepted rows."""
    refused: RowsByReason
    unlisted: Mapping[str, int]
    """By column, how many cells of accepted rows have a value outside of the contract's list."""


def stage(
    parsed: Path,
    table: Table,
    accepted: Path,
    shards: Shards,
    quarantine: Quarantine,
    *,
    histories: Sequence[History],
    ahead: KnownAhead,
    read_before: Callable[[pa.Table], pa.Table | None],
) -> Staged:
    """The numbers of accepted and of refused rows. The accepted rows are in the file `accepted` and in `shards`.

    A model may read the past of rows, or what is known of later moments. The past is in the drop's own good rows, and
    in the table's rows that `read_before` returns for them. A row with a past that is too short is refused, as
    `history`; one without a cell that is known ahead, of its own or of a later row of the drop, as `required`."""
    good, rows, others = accepted.with_name("good"), 0, Counter[str]()
    create = partial(pq.ParquetWriter, schema=parsed_schema(table), compression="zstd", write_page_checksum=True)
    with quarantine() as refused, create(accepted) as writer:

        def accept(part: pa.Table, before: pa.Table | None = None) -> None:
            others.update(unlisted(part, table))
            writer.write_table(part)
            for history in histories:
                part = history.add_steps(part, before)
            shards.add(part)

        if histories or ahead.columns:
            # Good rows go into a file first: the past of a row may be in any of them, also in a later part.
            with create(good) as first:
                screen(parsed, table, first.write_table, refused)
            # Of the good rows and of the table's, only the columns that are looked up are held in memory.
            later, own = pq.read_table(good, columns=ahead.reads), pq.read_table(good, columns=columns_of(histories))
            known = [part for part in (read_before(own), own) if part is not None]
            before = pa.concat_tables(known, promote_options="permissive")
            for part in parts(good, table, is_decoded=True):
                kept = _refuse_unknown(ahead.fill(part, later), table, ahead, refused)
                kept = _refuse_short(kept, table, before, histories, refused)
                accept(kept, before)
                rows += kept.num_rows
        else:
            rows = screen(parsed, table, accept, refused)
        shards.finish()
    return Staged(rows=rows, refused=refused.reasons, unlisted=others)


def _refuse_short(
    part: pa.Table, table: Table, before: pa.Table, histories: Sequence[History], refused: QuarantineFile
) -> pa.Table:
    """The rows with a past that reaches back far enough. The other rows go to `refused`."""
    # History by history: a row that one of them refuses is not looked at by the next.
    for history in histories:
        short_N = history.is_too_short(part, before)
        hours = (history.steps - 1) * history.every_hours
        violation = RuleViolation(
            reason=Reason.HISTORY,
            column=history.name,
            expected=f"a past that begins {hours:g} hours before the row or earlier",
            got="a shorter one",
        )
        part = _refuse(part, short_N, violation, table, refused)
    return part


def _refuse_unknown(part: pa.Table, table: Table, ahead: KnownAhead, refused: QuarantineFile) -> pa.Table:
    """The rows that hold what is known of later moments. The other rows go to `refused`."""
    for column in ahead.columns:
        assert column.ahead is not None
        violation = RuleViolation(
            reason=Reason.REQUIRED,
            column=column.name,
            expected=f"a cell, or a later row with {column.ahead.column} ({column.ahead.hours:g} hours later)",
            got="nothing",
        )
        part = _refuse(part, np.asarray(part[column.name].combine_chunks().is_null()), violation, table, refused)
    return part


def _refuse(
    part: pa.Table, bad_N: npt.NDArray[np.bool_], violation: RuleViolation, table: Table, refused: QuarantineFile
) -> pa.Table:
    """The rows without the bad ones, which go to `refused`."""
    refused.add(refuse(part, {at: [violation] for at in np.flatnonzero(bad_N).tolist()}, table))
    return part.filter(pa.array(~bad_N))
