"""Joins labels with the decisions that they are about, as training rows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial, reduce
from typing import TYPE_CHECKING, Any

from millrace.artefact.batch import ROW
from millrace.contract.deduplicate import key_of
from millrace.contract.kinds import parse_cell
from millrace.contract.schema import PREDICTION_ID
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
from millrace.decisions.outcomes import DecisionIndex
from millrace.decisions.record import Decision
from millrace.decisions.scored import MOST_ROWS
from millrace.decisions.store import read_days, stored_days

if TYPE_CHECKING:
    import pyarrow as pa

    from millrace.workload.declaration import Prediction

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

    A label whose decision is known becomes a row: the input of the decision with the label. `DecisionIndex` finds the
    decision. A line that is no decision is left out, so its label stays unmatched and is counted. `s3` is boto3's
    client."""
    labels = lake.find("labels")
    snapshot = labels.current_snapshot() if labels is not None else None
    if labels is None or snapshot is None:
        return JoinedLabels(rows=0, unmatched=0, refused=0)
    # Of corrected labels only the latest counts, both in the rows that are there and in those that come now.
    known = current(labels.scan().to_arrow(), prediction_spec.key, prediction_spec.label_columns)
    # A training that is held for a person corrects nothing: the next one finds the same corrections again.
    corrected = correct_rows(lake, known, prediction_spec, run=run, snapshot_id=snapshot.snapshot_id) if corrects else 0
    # A decision lies in the folder of the day of its row, which is the day of its label.
    waiting = _waiting(lake, known, prediction_spec)
    bucket, days = lake.names.platform.bucket("lake"), {_day(row, prediction_spec) for row in waiting}
    if lake.contract.labels.column(prediction_spec.event_time).is_generated:
        days = _days_before(days, stored_days(s3, bucket, lake.names.workload))
    # A row of a scored file lacks its image here, and the row of its label would be refused for that.
    has_images = bool(captured.long_columns(lake.contract.rows))
    stored = read_days(
        s3,
        bucket,
        lake.names.workload,
        days,
        most_scored=0 if has_images else MOST_ROWS,
        wanted=partial(_may_match, labels=waiting, prediction_spec=prediction_spec),
    )
    index = DecisionIndex(stored.decisions, prediction_spec=prediction_spec, table=lake.contract.labels)
    matched = [(row, decision) for row in waiting if (decision := index.find(_own(row, prediction_spec))) is not None]
    rows = _join(lake, prediction_spec, matched, s3)
    verdict = validate(rows, lake.contract.rows)
    sources = [row[SOURCE] for row, _ in matched]
    if verdict.accepted.num_rows:
        _commit(lake, verdict.accepted, sources, str(snapshot.snapshot_id), run)
    left = _leave(lake, prediction_spec, run)
    return JoinedLabels(
        rows=verdict.accepted.num_rows - left,
        unmatched=len(waiting) - len(matched),
        refused=len(verdict.refused),
        corrected=corrected,
    )


def _waiting(lake: Lake, labels: pa.Table, prediction_spec: Prediction) -> list[dict[str, Any]]:
    """The labels with keys that are not in the rows yet, in the order of the table. `labels` has one for each key."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    # A label with a key in the rows was joined before, or its row came with a label: an anti-join by the key.
    for keys in existing_keys(lake, "rows", lake.find("rows"), labels):
        if keys.columns == prediction_spec.key:
            held = pc.is_in(key_of(labels, keys.columns), value_set=keys.values)
            labels = labels.filter(pa.array(~np.asarray(held.to_numpy(zero_copy_only=False), dtype=bool)))
    rows: list[dict[str, Any]] = labels.to_pylist()
    return rows


def _may_match(rows: pa.Table, *, labels: list[dict[str, Any]], prediction_spec: Prediction) -> pa.Array:
    """Which rows of a scored file may have one of the labels: by each cell of the key, or by the number in its id.

    It only narrows the search down, since a file may have many more rows than there are labels."""
    import pyarrow as pa
    import pyarrow.compute as pc

    names = dict.fromkeys([*prediction_spec.key, prediction_spec.event_time])
    cells = {name: pa.array([label[name] for label in labels]) for name in names}
    by_key = [
        pc.is_in(rows[name], value_set=pc.cast(known, rows.schema.field(name).type, safe=False))
        for name, known in cells.items()
    ]
    numbers = [str(label.get(PREDICTION_ID) or "").rpartition("-")[2] for label in labels]
    named = pa.array([int(number) for number in numbers if number.isdecimal() and len(number) < 19], pa.int64())
    return pc.or_(reduce(pc.and_, by_key), pc.is_in(rows[ROW], value_set=named))


def _own(label: dict[str, Any], prediction_spec: Prediction) -> dict[str, Any]:
    """The label, as a label of the row of its own time.

    With a horizon, the label's id names the prediction of an earlier row, so the id is dropped."""
    return label | {PREDICTION_ID: None} if prediction_spec.horizon_hours else label


def _days_before(days: set[date], stored: Iterable[date]) -> set[date]:
    """The stored days among `days` and the GENERATED_DAYS before each of them.

    A label with the time of its drop names its decision by the id alone. The decision may be on any of these days."""
    reach = timedelta(days=GENERATED_DAYS)
    return {day for day in stored if any(label - reach <= day <= label for label in days)}


def _join(lake: Lake, prediction_spec: Prediction, matched: list[tuple[dict[str, Any], Decision]], s3: Any) -> pa.Table:
    """The inputs of the decisions with their labels, as rows of the contract; `_line` is the position, from 0.

    An image that has expired, was altered or lies elsewhere is missing in its row. If the contract requires it, it then
    refuses the row."""
    import pyarrow as pa

    from millrace.contract.schema import LINE, parsed_schema

    long = captured.LongCells(
        columns=captured.long_columns(lake.contract.rows), under=lake.names.lake_uri(captured.FOLDER, "")
    )
    # A decision has references in place of images: they are all fetched first, since rows may share them.
    inputs = [json.loads(decision.input) for _, decision in matched]
    references = [captured.references(document, long) for document in inputs]
    contents = captured.read_all(s3, (uri for named in references for uri in named.values()))
    is_generated = lake.contract.labels.column(prediction_spec.event_time).is_generated
    kept = (
        *prediction_spec.key,
        *prediction_spec.label_columns,
        *([] if is_generated else [prediction_spec.event_time]),
    )
    rows = []
    # The key and the label come from the label, and the time unless it is generated; other cells from the decision.
    for position, ((label, decision), document, named) in enumerate(zip(matched, inputs, references, strict=True)):
        known = document | dict(decision.key)
        row = {}
        for column in lake.contract.rows.columns:
            cell = known.get(column.name)
            try:
                row[column.name] = None if isinstance(cell, dict) else parse_cell(cell, column.kind)
            except ValueError:
                row[column.name] = None  # a required column is refused below with its reason
        row |= {name: contents.get(uri) for name, uri in named.items()}
        rows.append(row | {name: label[name] for name in kept} | {LINE: position})
    return pa.Table.from_pylist(rows, schema=parsed_schema(lake.contract.rows))


def _commit(lake: Lake, rows: pa.Table, sources: list[str], labels_snapshot: str, run: str) -> None:
    """Append the rows to `rows`. Each has the landing key of its label as its source.

    The snapshot's digest is the digest of the rows, so a repeated call adds none of them twice."""
    import pyarrow as pa

    from millrace.contract.schema import LINE

    named = rows.append_column(SOURCE, pa.array([sources[at] for at in rows[LINE].to_pylist()], pa.string()))
    content = "\n".join(raw_row(row) for row in rows.drop_columns([LINE]).to_pylist())
    source = Source(
        uri=f"{lake.names.table('labels')}@{labels_snapshot}",
        key="",
        digest=hashlib.sha256(content.encode()).hexdigest(),
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


def _day(label: Mapping[str, Any], prediction_spec: Prediction) -> date:
    """The day of the label's event time, in UTC."""
    return _moment(label[prediction_spec.event_time]).date()


def _moment(at: datetime) -> datetime:
    """The time in UTC; a time without a zone is taken for UTC, as everywhere."""
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
