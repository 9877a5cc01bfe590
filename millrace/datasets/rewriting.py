"""Rewrites the rows of a table in the types of a contract that has changed: each row is judged anew.

    price in the table     float64, field 4     int32, field 9
    rows                   1.0, 2.0, 2.5        1, 2                2.5 is in the quarantine

Snapshots before stay as they were."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table as IcebergTable

from millrace.contract.future import up_to
from millrace.contract.schema import LINE, SOURCE, Column, Feed, Table
from millrace.contract.validate import Validator
from millrace.contract.violation import QuarantinedRow
from millrace.datasets import notes
from millrace.datasets.changes import Attempt, Change, change
from millrace.datasets.compaction import data_files
from millrace.datasets.iceberg import upload
from millrace.datasets.journal import Journal
from millrace.datasets.quarantine import QuarantineFile, object_key
from millrace.datasets.tables import Lake, NewDataFile, changes_of, rows_of, types_in
from millrace.datasets.withdrawal import digest_of, withdrawn_before
from millrace.errors import WorkloadError
from millrace.files.parquet import typed
from millrace.files.parsed import Limits
from millrace.messages.envelope import StepInput
from millrace.messages.upkeep import RewrittenTable, UpkeepInput
from millrace.workload.declaration import Prediction

MOST = {"bytes": 2**29, "rows": 10_000_000, "refused rows": 500_000}
"""The most that a call rewrites, in some four minutes of fifteen: it begins anew if another writer wins."""


def rewrite(
    lake: Lake, table: str, prediction: Prediction, call: StepInput[UpkeepInput], by: str
) -> RewrittenTable | None:
    """What became of the rows, which `by` asked for; None for a table whose columns have the contract's types. A
    repeated call does the same.

    Raises WorkloadError for more than MOST and for a change that no rewriting can follow, ConflictError if other
    writers win every time."""
    asked, as_of, digest = call.state, call.state.as_of, digest_of(table, call.run)
    contract = up_to(lake.contract_of(table), prediction, arrived=as_of)

    def plan(attempt: Attempt) -> RewrittenTable:
        iceberg, before = attempt.table, _kinds(attempt.table, contract)
        if entry := withdrawn_before(iceberg, digest):
            return RewrittenTable.model_validate_json(entry.notes[notes.REWRITTEN])
        if not before:
            return nothing
        files = [file for _, file in sorted(data_files(iceberg), key=itemgetter(0))]
        _check(contract, before, "bytes", sum(file.file_size_in_bytes for file in files))
        _check(contract, before, "rows", sum(file.record_count for file in files))
        judge = Judge(contract, [*before], is_labels=table == "labels")
        uris = {entry.key: entry.uri for entry in Journal.of(iceberg) if entry.rows_added}
        now, added, rows = attempt.retype({name: contract.column(name).kind for name in before}), list[DataFile](), 0
        with TemporaryDirectory() as folder:
            path = Path(folder, "refused")
            with QuarantineFile(path, drop_id=call.run, source="", as_of=as_of) as quarantine:
                for file in files:
                    new = NewDataFile(now, Path(folder, "rows"))
                    whole = rows_of(iceberg, [file], iceberg.schema().column_names)
                    for batch in whole.to_batches(Limits().rows_of(contract)):
                        accepted, refused = judge.judge(batch)
                        new.add(accepted)
                        for source, own in groupby(refused, key=itemgetter(0)):
                            quarantine.add((row for _, row in own), uris.get(source, source))
                        _check(contract, before, "refused rows", quarantine.rows)
                    rows += new.rows
                    added += filter(None, () if asked.is_preview else [new.store()])
            reasons = (*quarantine.reasons.items(),)
            done = RewrittenTable(table=table, columns=(*before,), rows=rows, reasons=reasons)
            if quarantine.rows and not asked.is_preview:
                feed: Feed = "labels" if table == "labels" else "training"
                key = object_key(lake.names.workload, feed, as_of=as_of, drop_id=call.run, part="rewritten")
                upload(path, f"s3://{lake.names.platform.bucket('lake')}/{key}")
        said = {notes.DIGEST: digest, notes.WRITTEN_BY: call.run, notes.SENT_BY: by}
        said |= {notes.REWRITTEN: done.model_dump_json(), notes.QUARANTINED: str(quarantine.rows)}
        attempt.apply(Change(notes=said, remove=files, add=added))
        return done

    there, nothing = lake.find(table), RewrittenTable(table=table, columns=(), rows=0, reasons=())
    if there is not None and (before := _kinds(there, contract)):
        # All other changes of columns come first, as with a drop.
        columns = tuple(replace(one, kind=before.get(one.name, one.kind)) for one in contract.columns)
        former = replace(contract, columns=columns)
        there = Lake(lake.names, replace(lake.contract, **dict[str, Any]({table: former}))).open(table)
    if there is None:
        return None
    done = plan(Attempt(there)) if asked.is_preview else change(lake, table, plan, without=nothing)
    return done if done.columns else None


def _kinds(iceberg: IcebergTable, contract: Table) -> dict[str, Any]:
    """The kinds that the table has of the columns whose rows can be written anew in the contract's."""
    return {one.name: one.before for one in changes_of(types_in(iceberg), contract) if one.can_rewrite}


def _check(contract: Table, changed: Iterable[str], what: str, came: int) -> None:
    if came > MOST[what]:
        where, expected = f"contract.yaml, {contract.name}", f"{MOST[what]} {what} at most (or a new column name)"
        raise WorkloadError(where=where, field=", ".join(changed), expected=expected, came=came)


class Judge:
    """Judges rows of a table by a contract that has changed."""

    def __init__(self, contract: Table, changed: Collection[str], *, is_labels: bool) -> None:
        """`changed` are the columns of other types: their cells are read as those of a drop, others are as they are."""
        read = {one.name: Column(name=one.name, kind=one.kind, derived=one.derived) for one in contract.columns}
        read |= {name: replace(contract.column(name), physical_name=None, part=None) for name in changed}
        self._reader = replace(contract, columns=tuple(read.values()))
        # A row may lack its label, as one that was made of a decision. Of labels with one key the latest counts.
        judged = (replace(one, required=one.required and (is_labels or not one.label)) for one in contract.columns)
        self._validator = Validator(replace(contract, columns=tuple(judged)), repeated={} if is_labels else None)

    def judge(self, batch: pa.RecordBatch) -> tuple[pa.Table, list[tuple[str, QuarantinedRow]]]:
        """The rows that keep the contract, with the table's other columns, and the others with where they came from."""
        derived, names = self._reader.derived, self._reader.names  # derived cells are computed anew
        parsed = typed(batch.select([name for name in names if name not in derived]), 0, self._reader)
        judged = self._validator.judge(parsed.rows)
        accepted, sources = judged.accepted, batch.column(SOURCE)
        for name in {*batch.schema.names} - {*names}:
            accepted = accepted.append_column(name, pc.take(batch.column(name), accepted[LINE]))
        refused = (*parsed.unparsable, *judged.refused)
        return accepted, [(sources[row.line or 0].as_py(), replace(row, line=None)) for row in refused]
