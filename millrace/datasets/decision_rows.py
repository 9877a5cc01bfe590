"""Makes training rows of the decisions that labels are about. Such a row has no label: that is joined at reading."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.expressions import BooleanExpression, StartsWith
from pyiceberg.table import Table as IcebergTable

from millrace.contract.deduplicate import key_of
from millrace.contract.kinds import parse_cell
from millrace.contract.schema import ARRIVED, LINE, PREDICTION_ID, SOURCE, parsed_schema
from millrace.contract.validate import validate
from millrace.contract.violation import raw_row
from millrace.datasets.commits import commit
from millrace.datasets.journal import Journal
from millrace.datasets.labelled_rows import PORTION_ROWS, Portions, around, join, parts
from millrace.datasets.labels import LabelColumns, current
from millrace.datasets.new_rows import Source
from millrace.datasets.notes import LABELS_SNAPSHOT, WITHDRAWN, WRITTEN_BY
from millrace.datasets.tables import Lake
from millrace.datasets.withdrawal import matching, take_out
from millrace.decisions import captured
from millrace.decisions.columns import read_parts
from millrace.decisions.labelled import SHAPE, LabelledDecisions
from millrace.decisions.scored import MOST_ROWS, rows_by_day
from millrace.decisions.store import stored_days
from millrace.messages.train import JoinedLabels
from millrace.workload.declaration import Prediction

DIGEST_ROWS = 10_000
"""Rows that are in memory as objects at the same time."""
GENERATED_DAYS = 90
"""How many days a decision may be older than its label, if the label has no event time but only the decision's id."""


def join_labels(
    lake: Lake,
    s3: Any,
    prediction_spec: Prediction,
    *,
    run: str,
    before: JoinedLabels | None = None,
    portion_rows: int = PORTION_ROWS,
) -> JoinedLabels:
    """What became of the labels of one portion, added to what became of those `before`. Call it until none `has_more`.

    A label whose decision is known brings a row: the input of the decision. `LabelledDecisions` finds the decision. A
    line that is no decision is left out, so its label stays unmatched and is counted. A call that died is repeated with
    the same `before`: the rows that it committed are known by their keys, and counted by the table's journal. `s3` is
    boto3's client."""
    labels = lake.find("labels")
    snapshot = labels.current_snapshot() if labels is not None else None
    if labels is None or snapshot is None:
        return JoinedLabels()
    key, time = prediction_spec.key, prediction_spec.event_time
    divided = Portions(key=key, time=before.time, cuts=before.cuts) if before else None
    portions = divided or Portions.of(labels, key, time, rows=portion_rows)
    before = before or JoinedLabels(time=portions.time, cuts=portions.cuts)
    waiting = _waiting(lake, labels, prediction_spec, portions, before.done)
    source = (str(snapshot.snapshot_id), run)
    unmatched, refused = _join_waiting(lake, prediction_spec, waiting, s3, source) if waiting.num_rows else (0, 0)
    done = before.done + 1
    if done == len(portions):
        _leave(lake, prediction_spec, run)
    counts = {"rows": rows_joined(lake, run), "unmatched": before.unmatched + unmatched}
    counts |= {"refused": before.refused + refused, "done": done, "has_more": done < len(portions)}
    return before.model_copy(update=counts)


def rows_joined(lake: Lake, run: str) -> int:
    """How many rows the run has made of decisions and their labels so far."""
    rows = lake.find("rows")
    entries = Journal.of(rows).newest() if rows is not None else ()
    return sum(entry.rows_added for entry in entries if entry.written_by == run and LABELS_SNAPSHOT in entry.notes)


def _waiting(
    lake: Lake, labels: IcebergTable, prediction_spec: Prediction, portions: Portions, number: int
) -> pa.Table:
    """The labels of a portion with keys that are not in the rows yet, in the order of the table; one for each key."""
    key, values = prediction_spec.key, prediction_spec.label_columns
    names = [*key, prediction_spec.event_time, PREDICTION_ID, *values, SOURCE, ARRIVED]
    there = [name for name in names if name in labels.schema().column_names]
    found = current(portions.read(labels, there, number), key, values)
    rows = lake.find("rows")
    if rows is None or rows.current_snapshot() is None or not found.num_rows:
        return found
    # A label with a key in the rows was joined before, or belongs to a row of a drop: an anti-join by the key.
    own, is_held = key_of(found, key), np.zeros(found.num_rows, dtype=bool)
    for part in parts(rows, key, around(found, key)):
        is_held |= pc.is_in(own, value_set=key_of(part, key).cast(own.type)).to_numpy(zero_copy_only=False)
    return found.filter(pa.array(~is_held))


def _join_waiting(
    lake: Lake, prediction_spec: Prediction, waiting: pa.Table, s3: Any, source: tuple[str, str]
) -> tuple[int, int]:
    """How many of these labels have no decision, and of how many the contract refuses the row. The others have rows."""
    with TemporaryDirectory() as folder:
        matched = list(_join(lake, prediction_spec, waiting, s3, Path(folder)))
    found = pa.concat_tables([parsed_schema(lake.contract.rows).empty_table(), *matched]).sort_by(LINE)
    del matched
    # The contract judges the row with its label.
    verdict = validate(found, lake.contract.rows)
    if verdict.accepted.num_rows:
        rows = verdict.accepted.drop_columns(list(prediction_spec.label_columns))
        _commit(lake, rows, waiting.column(SOURCE), *source)
    return waiting.num_rows - found.num_rows, len(verdict.refused)


def _days_before(days: Collection[date], stored: Iterable[date]) -> set[date]:
    """The stored days among `days` and the GENERATED_DAYS before each of them.

    A label with the time of its drop names its decision by the id alone. The decision may be on any of these days."""
    reach = timedelta(days=GENERATED_DAYS)
    return {day for day in stored if any(label - reach <= day <= label for label in days)}


def _join(lake: Lake, prediction_spec: Prediction, waiting: pa.Table, s3: Any, folder: Path) -> Iterator[pa.Table]:
    """The rows of the labels with a decision, a part at a time; `_line` is the place of the label, from 0."""
    bucket, workload = lake.names.platform.bucket("lake"), lake.names.workload
    # A decision lies in the folder of the day of its row, which is the day of its label.
    days: Collection[date] = rows_by_day(waiting.column(prediction_spec.event_time))
    if lake.contract.labels.column(prediction_spec.event_time).generated:
        days = _days_before(days, stored_days(s3, bucket, workload))
    # With a horizon, a label's id names the prediction of an earlier row: here it is the label of the row of its own
    # time.
    ids = [PREDICTION_ID] if prediction_spec.horizon_hours and PREDICTION_ID in waiting.column_names else []
    table, own = lake.contract.labels, waiting.drop_columns(ids)
    is_dated = prediction_spec.event_time in prediction_spec.key
    found = LabelledDecisions(own, prediction_spec=prediction_spec, table=table, folder=folder, is_dated=is_dated)
    # A row of a scored file lacks its image here, and the row of its label would be refused for that.
    most_scored = 0 if captured.long_columns(lake.contract.rows) else MOST_ROWS
    chosen: dict[str, Any] = {"most_scored": most_scored, "wanted": found.in_file, "within": found.within}
    for part in read_parts(s3, bucket, workload, days, shape=SHAPE, **chosen):
        found.add(part)
    for part in found.parts():
        yield _rows_of(lake, prediction_spec, waiting, part, s3)


def _rows_of(lake: Lake, prediction_spec: Prediction, labels: pa.Table, part: pa.Table, s3: Any) -> pa.Table:
    """The inputs of the decisions with their labels, as rows of the contract. `part` is one of `LabelledDecisions`.

    An image that has expired, was altered or lies elsewhere is missing in its row. If the contract requires it, it then
    refuses the row."""
    long = captured.LongCells(
        columns=captured.long_columns(lake.contract.rows), under=lake.names.lake_uri(captured.FOLDER, "")
    )
    # A decision has references in place of images: they are all fetched first, since rows may share them.
    inputs = [json.loads(text) for text in part.column("input").to_pylist()]
    references = [captured.references(document, long) for document in inputs]
    contents = captured.read_all(s3, (uri for named in references for uri in named.values()))
    is_generated = lake.contract.labels.column(prediction_spec.event_time).generated
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
            cell = None if column.derived else known.get(column.name)
            try:
                row[column.name] = None if isinstance(cell, dict) else parse_cell(cell, column.kind)
            except ValueError:
                row[column.name] = None  # a required column is refused below with its reason
        row |= {name: contents.get(uri) for name, uri in named.items()}
        rows.append(row | label | {LINE: place})
    return pa.Table.from_pylist(rows, schema=parsed_schema(lake.contract.rows))


def _commit(lake: Lake, rows: pa.Table, sources: pa.ChunkedArray, snapshot_id: str, run: str) -> None:
    """Append the rows to `rows`. Each has the landing key of its label as its source.

    Keys that the table holds by then are left out, so a repeated call adds no row twice."""
    content = hashlib.sha256(snapshot_id.encode())
    for part in rows.drop_columns([LINE]).to_batches(max_chunksize=DIGEST_ROWS):
        content.update("".join(f"{raw_row(row)}\n" for row in part.to_pylist()).encode())
    named = rows.append_column(SOURCE, sources.take(rows.column(LINE).combine_chunks()))
    source = Source(
        uri=f"{lake.names.table('labels')}@{snapshot_id}", key="", digest=content.hexdigest(), written_by=run
    )
    commit(lake, "rows", named, source, notes={LABELS_SNAPSHOT: snapshot_id})


def _leave(lake: Lake, prediction_spec: Prediction, run: str) -> None:
    """Take rows of decisions out again whose labels have left, also while this run joined them.

    A withdrawal takes labels out of `labels` first, and rows out of `rows` then. This function looks at `labels` when
    its rows are in `rows`. So one of the two sees the rows, whoever comes first."""
    labels = lake.find("labels")
    if labels is not None and any(WITHDRAWN in entry.notes for entry in Journal.of(labels)):
        take_out(lake, "rows", partial(_unlabelled, lake, prediction_spec), {WRITTEN_BY: run})


def _unlabelled(lake: Lake, prediction_spec: Prediction, rows: IcebergTable) -> BooleanExpression:
    """The filter for the rows that were made of decisions and have no label any more."""
    columns = LabelColumns.of(prediction_spec, lake.names.workload)
    late = parts(rows, columns.read, StartsWith(term=SOURCE, value=columns.late))
    gone = pa.concat_tables(part.filter(pa.array(~join(lake, columns, part).counts)) for part in late)
    return matching(gone, columns.key)
