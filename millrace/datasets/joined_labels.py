"""Joins labels with the decisions that they are about, as training rows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from millrace.contract.deduplicate import key_of
from millrace.contract.kinds import parse_cell
from millrace.contract.schema import ARRIVED, LINE, PREDICTION_ID, parsed_schema
from millrace.contract.validate import validate
from millrace.contract.violation import raw_row
from millrace.datasets.commits import commit
from millrace.datasets.corrections import current
from millrace.datasets.journal import Journal
from millrace.datasets.new_rows import Source, existing_keys
from millrace.datasets.notes import LABELS_SNAPSHOT, WITHDRAWN, WRITTEN_BY
from millrace.datasets.relabelled_rows import correct_rows, restore_keys
from millrace.datasets.tables import SOURCE, Lake
from millrace.decisions import captured
from millrace.decisions.scored import MOST_ROWS, rows_by_day
from millrace.decisions.store import stored_days

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.table import Table as IcebergTable

    from millrace.workload.declaration import Prediction

DIGEST_ROWS = 10_000
"""Rows that are in memory as objects at the same time."""
GENERATED_DAYS = 90
"""How many days a decision may be older than its label, if the label has no event time but only the decision's id."""


@dataclass(frozen=True, kw_only=True)
class JoinedLabels:
    """What became of the labels that were not in the rows yet, as numbers of labels."""

    rows: int
    """The labels that are training rows now."""
    unmatched: int
    """The labels without a decision; the next call looks at them again."""
    refused: int
    """The labels with a decision about a row that the contract refuses. Their rows never come in."""
    corrected: int = 0
    """The rows with a label that a later one has replaced."""


def join_labels(lake: Lake, s3: Any, prediction_spec: Prediction, *, run: str, corrects: bool = True) -> JoinedLabels:
    """What became of the labels. Two commits are made: one replaces corrected labels, one appends rows with new labels.

    A label whose decision is known becomes a row: the input of the decision with the label. `LabelledDecisions` finds
    the decision. A line that is no decision is left out, so its label stays unmatched and is counted. `s3` is boto3's
    client."""
    import pyarrow as pa

    labels = lake.find("labels")
    snapshot = labels.current_snapshot() if labels is not None else None
    if labels is None or snapshot is None:
        return JoinedLabels(rows=0, unmatched=0, refused=0)
    # Of corrected labels only the latest counts, both in the rows that are there and in those that come now.
    known = current(_read(labels, prediction_spec), prediction_spec.key, prediction_spec.label_columns)
    # A training that is held for a person corrects nothing: the next one finds the same corrections again.
    corrected = correct_rows(lake, known, prediction_spec, run=run, snapshot_id=snapshot.snapshot_id) if corrects else 0
    waiting = _waiting(lake, known, prediction_spec)
    del known  # millions of labels take hundreds of megabytes
    rows, unmatched, refused = 0, waiting.num_rows, 0
    if waiting.num_rows:
        with TemporaryDirectory() as folder:
            matched = list(_join(lake, prediction_spec, waiting, s3, Path(folder)))
        found = pa.concat_tables([parsed_schema(lake.contract.rows).empty_table(), *matched]).sort_by(LINE)
        unmatched -= found.num_rows
        del matched
        verdict = validate(found, lake.contract.rows)
        rows, refused = verdict.accepted.num_rows, len(verdict.refused)
        if rows:
            _commit(lake, verdict.accepted, waiting.column(SOURCE), str(snapshot.snapshot_id), run)
    left = _leave(lake, prediction_spec, run)
    return JoinedLabels(rows=rows - left, unmatched=unmatched, refused=refused, corrected=corrected)


def _read(labels: IcebergTable, prediction_spec: Prediction) -> pa.Table:
    """All labels, with the columns that are looked at."""
    needed = (*prediction_spec.key, prediction_spec.event_time, PREDICTION_ID, *prediction_spec.label_columns)
    there = labels.schema().column_names
    columns = dict.fromkeys(name for name in (*needed, SOURCE, ARRIVED) if name in there)
    return labels.scan(selected_fields=tuple(columns)).to_arrow()


def _waiting(lake: Lake, labels: pa.Table, prediction_spec: Prediction) -> pa.Table:
    """The labels with keys that are not in the rows yet, in the order of the table. `labels` has one for each key."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    # A label with a key in the rows was joined before, or its row came with a label: an anti-join by the key.
    for keys in existing_keys(lake, "rows", lake.find("rows"), labels):
        if keys.columns == prediction_spec.key:
            held = pc.is_in(key_of(labels, keys.columns), value_set=keys.values)
            labels = labels.filter(pa.array(~np.asarray(held.to_numpy(zero_copy_only=False), dtype=bool)))
    return labels


def _days_before(days: Collection[date], stored: Iterable[date]) -> set[date]:
    """The stored days among `days` and the GENERATED_DAYS before each of them.

    A label with the time of its drop names its decision by the id alone. The decision may be on any of these days."""
    reach = timedelta(days=GENERATED_DAYS)
    return {day for day in stored if any(label - reach <= day <= label for label in days)}


def _join(lake: Lake, prediction_spec: Prediction, waiting: pa.Table, s3: Any, folder: Path) -> Iterator[pa.Table]:
    """The rows of the labels with a decision, a part at a time; `_line` is the place of the label, from 0."""
    from millrace.decisions.columns import read_parts
    from millrace.decisions.labelled import SHAPE, LabelledDecisions

    bucket, workload = lake.names.platform.bucket("lake"), lake.names.workload
    # A decision lies in the folder of the day of its row, which is the day of its label.
    days: Collection[date] = rows_by_day(waiting.column(prediction_spec.event_time))
    if lake.contract.labels.column(prediction_spec.event_time).is_generated:
        days = _days_before(days, stored_days(s3, bucket, workload))
    # With a horizon, a label's id names the prediction of an earlier row: here it is the label of the row of its own
    # time.
    ids = [PREDICTION_ID] if prediction_spec.horizon_hours and PREDICTION_ID in waiting.column_names else []
    table, own = lake.contract.labels, waiting.drop_columns(ids)
    found = LabelledDecisions(own, prediction_spec=prediction_spec, table=table, folder=folder)
    # A row of a scored file lacks its image here, and the row of its label would be refused for that.
    most_scored = 0 if captured.long_columns(lake.contract.rows) else MOST_ROWS
    for part in read_parts(s3, bucket, workload, days, shape=SHAPE, most_scored=most_scored, wanted=found.in_file):
        found.add(part)
    for part in found.parts():
        yield _rows_of(lake, prediction_spec, waiting, part, s3)


def _rows_of(lake: Lake, prediction_spec: Prediction, labels: pa.Table, part: pa.Table, s3: Any) -> pa.Table:
    """The inputs of the decisions with their labels, as rows of the contract. `part` is one of `LabelledDecisions`.

    An image that has expired, was altered or lies elsewhere is missing in its row. If the contract requires it, it then
    refuses the row."""
    import pyarrow as pa

    long = captured.LongCells(
        columns=captured.long_columns(lake.contract.rows), under=lake.names.lake_uri(captured.FOLDER, "")
    )
    # A decision has references in place of images: they are all fetched first, since rows may share them.
    inputs = [json.loads(text) for text in part.column("input").to_pylist()]
    references = [captured.references(document, long) for document in inputs]
    contents = captured.read_all(s3, (uri for named in references for uri in named.values()))
    is_generated = lake.contract.labels.column(prediction_spec.event_time).is_generated
    kept = (
        *prediction_spec.key,
        *prediction_spec.label_columns,
        *([] if is_generated else [prediction_spec.event_time]),
    )
    # The key and the label come from the label, and the time unless it is generated; other cells from the decision.
    of_labels = labels.select(list(dict.fromkeys(kept))).take(part.column("label").combine_chunks()).to_pylist()
    rows = []
    for place, key, label, document, named in zip(
        part.column("label").to_pylist(), part.column("key").to_pylist(), of_labels, inputs, references, strict=True
    ):
        known = document | json.loads(key)
        row = {}
        for column in lake.contract.rows.columns:
            cell = known.get(column.name)
            try:
                row[column.name] = None if isinstance(cell, dict) else parse_cell(cell, column.kind)
            except ValueError:
                row[column.name] = None  # a required column is refused below with its reason
        row |= {name: contents.get(uri) for name, uri in named.items()}
        rows.append(row | label | {LINE: place})
    return pa.Table.from_pylist(rows, schema=parsed_schema(lake.contract.rows))


def _commit(lake: Lake, rows: pa.Table, sources: pa.ChunkedArray, labels_snapshot: str, run: str) -> None:
    """Append the rows to `rows`. Each has the landing key of its label as its source.

    The snapshot's digest is the digest of the rows, so a repeated call adds none of them twice."""
    content = hashlib.sha256()
    for part in rows.drop_columns([LINE]).to_batches(max_chunksize=DIGEST_ROWS):
        content.update("".join(f"{raw_row(row)}\n" for row in part.to_pylist()).encode())
    named = rows.append_column(SOURCE, sources.take(rows.column(LINE).combine_chunks()))
    source = Source(
        uri=f"{lake.names.table('labels')}@{labels_snapshot}",
        key="",
        digest=content.hexdigest(),
        written_by=run,
    )
    commit(lake, "rows", named, source, notes={LABELS_SNAPSHOT: labels_snapshot})


def _leave(lake: Lake, prediction_spec: Prediction, run: str) -> int:
    """The number of rows that left again, because their labels were withdrawn while this run joined them.

    A withdrawal takes labels out of `labels` first, and rows out of `rows` then. This function looks at `labels` when
    its rows are in `rows`. So one of the two sees the rows, whoever comes first."""
    import pyarrow.compute as pc

    labels, rows = lake.find("labels"), lake.find("rows")
    if labels is None or rows is None:
        return 0
    # The snapshot of the labels that this run has read, by its own entry; a retry of the run finds it there too.
    own = (entry.notes for entry in Journal.of(rows) if entry.notes.get(WRITTEN_BY) == run)
    read = next((int(notes[LABELS_SNAPSHOT]) for notes in own if LABELS_SNAPSHOT in notes), None)
    before = labels.snapshot_by_id(read) if read is not None else None
    if before is None or before == labels.current_snapshot():
        return 0
    later = (entry.notes for entry in Journal.of(labels) if entry.place > (before.sequence_number or 0))
    if not any(WITHDRAWN in notes for notes in later):
        return 0
    # Some labels were withdrawn since: those with keys that were there then and are not there now.
    then = labels.scan(selected_fields=prediction_spec.key, snapshot_id=before.snapshot_id).to_arrow()
    now = labels.scan(selected_fields=prediction_spec.key).to_arrow()
    gone = then.filter(
        pc.invert(pc.is_in(key_of(then, prediction_spec.key), value_set=key_of(now, prediction_spec.key)))
    )
    if not gone.num_rows:
        return 0
    return restore_keys(lake, gone, prediction_spec, run=run).left
