"""Gives rows of the dataset another label: the later one of a correction, or the earlier one after a withdrawal.

A row that came by `training/` stays a row of its drop. It has the label file in LABELLED_BY and its first label in
OWN_LABEL:

    class 0                                            as dropped
    class 1, _labelled_by labels/b.csv, _own_label …   corrected by labels/b.csv
    class 0                                            labels/b.csv withdrawn

A row that was made of a decision and its label has the label file as its source. It leaves with its last label. Which
label counts is said in `millrace.datasets.corrections`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from millrace.contract.deduplicate import key_of, with_marks
from millrace.contract.kinds import parse_cell
from millrace.contract.violation import raw_row
from millrace.datasets.changes import Attempt, Change, change
from millrace.datasets.corrections import arrivals, current
from millrace.datasets.journal import Journal
from millrace.datasets.new_rows import between
from millrace.datasets.notes import (
    ARRIVAL,
    DIGEST,
    LABELS_SNAPSHOT,
    ORIGIN,
    RELABELLED,
    SUPERSEDED,
    WITHDRAWN,
    WITHDRAWN_DROP,
    WRITTEN_BY,
)
from millrace.datasets.tables import SOURCE, Lake, NewDataFile
from millrace.datasets.withdrawal import by_drop, digest_of, withdrawn_before

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa
    from pyiceberg.expressions import BooleanExpression
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table as IcebergTable

    from millrace.workload.declaration import Prediction

LABELLED_BY = "_labelled_by"
"""The column of `rows` with the landing key of the label file that corrected the row; null for a row's own label."""
OWN_LABEL = "_own_label"
"""The column of `rows` with the label that a corrected row came with, as JSON: `{"class": 0}`."""


@dataclass(frozen=True, kw_only=True)
class Restored:
    """What becomes of the rows with a label that is withdrawn, as numbers of rows."""

    relabelled: int = 0
    """The rows that have their earlier label again."""
    left: int = 0
    """The rows that leave: they were made of a decision, and have no other label."""


def correct_rows(lake: Lake, labels: pa.Table, prediction_spec: Prediction, *, run: str, snapshot_id: int) -> int:
    """The number of rows that got another label, because a label that arrived later says another value.

    `labels` are the labels that count (`corrections.current`). A second call finds nothing to do and returns 0. Raises
    ConflictError if other writers win every time."""

    def correct(attempt: Attempt) -> int:
        rows = rows_to_correct(lake, attempt.table, labels, prediction_spec)
        if rows.num_rows:
            notes = {ORIGIN: f"{lake.names.table('labels')}@{snapshot_id}", LABELS_SNAPSHOT: str(snapshot_id)}
            which = matching(rows.select(prediction_spec.key), prediction_spec.key)
            _replace(attempt, which, rows, notes | {DIGEST: _digest(rows), WRITTEN_BY: run})
        return int(rows.num_rows)

    return change(lake, "rows", correct, without=0) if labels.num_rows else 0


def rows_to_correct(lake: Lake, iceberg: IcebergTable, labels: pa.Table, prediction_spec: Prediction) -> pa.Table:
    """The rows with a label that `labels` correct, whole and with the later label."""
    import numpy as np
    import pyarrow as pa

    # First only keys, labels and sources are read, to find the rows with an older value than their label's.
    key, values = prediction_spec.key, prediction_spec.label_columns
    there = iceberg.scan(row_filter=_between(key[0], labels), selected_fields=(*key, *values, SOURCE)).to_arrow()
    at = places(there, labels, key)
    held = np.flatnonzero(at >= 0)
    own, new = there.take(pa.array(held)), labels.take(pa.array(at[held]))
    which = pa.array(differs(own, new, values))
    own, new = own.filter(which), new.filter(which)
    wrong = own.filter(pa.array(_is_later(lake, iceberg, own, new)))
    if not wrong.num_rows:
        return wrong
    # Then these few rows are read whole and get the cells of their labels.
    rows = iceberg.scan(row_filter=matching(wrong.select(key), key)).to_arrow()
    return _with_labels(lake, rows, labels.take(pa.array(places(rows, labels, key))), values)


def restore_rows(
    lake: Lake, drop: str, prediction_spec: Prediction, *, cause: str, is_preview: bool = False
) -> Restored:
    """What became of the rows that the label file with this landing key has labelled; its labels are withdrawn.

    Each row gets the latest of its other labels, or the one that it came with. With `is_preview` nothing changes. A
    repeated call with the same cause returns the same."""
    digest = digest_of(by_drop(drop), cause)

    def restore(attempt: Attempt) -> Restored:
        if (done := withdrawn_before(attempt.table, digest)) is not None:
            notes = done.notes
            return Restored(relabelled=int(notes.get(RELABELLED) or 0), left=int(notes.get(WITHDRAWN) or 0))
        notes = {DIGEST: digest, WRITTEN_BY: cause, WITHDRAWN_DROP: drop}
        return _restore(lake, attempt, _labelled_by(attempt.table, drop), prediction_spec, notes, drop, is_preview)

    return change(lake, "rows", restore, without=Restored())


def restore_keys(lake: Lake, keys: pa.Table, prediction_spec: Prediction, *, run: str) -> Restored:
    """As `restore_rows`, for rows with these keys whose label came by the feed `labels`."""
    from pyiceberg.expressions import And

    def restore(attempt: Attempt) -> Restored:
        late = _labelled_by(attempt.table, f"{lake.names.workload}/labels/", is_prefix=True)
        which = And(matching(keys, prediction_spec.key), late)
        return _restore(lake, attempt, which, prediction_spec, {WRITTEN_BY: run}, "", is_preview=False)

    return change(lake, "rows", restore, without=Restored())


def _restore(
    lake: Lake,
    attempt: Attempt,
    which: BooleanExpression,
    prediction_spec: Prediction,
    notes: Mapping[str, str],
    drop: str,
    is_preview: bool,
) -> Restored:
    """Give these rows the label that counts without the labels of `drop`, or take them out."""
    import numpy as np
    import pyarrow as pa

    rows = attempt.table.scan(row_filter=which).to_arrow()
    if not rows.num_rows:
        return Restored()
    key, values = prediction_spec.key, prediction_spec.label_columns
    labels = current_labels(lake, prediction_spec, but_of=drop)
    at = places(rows, labels, key) if labels is not None else np.full(rows.num_rows, -1)
    is_labelled = at >= 0
    if labels is not None and is_labelled.any():
        held = np.flatnonzero(is_labelled)
        # A label that came before the row's own drop did not count, and does not count now.
        is_labelled[held] = _is_later(lake, attempt.table, rows.take(pa.array(held)), labels.take(pa.array(at[held])))
    is_dropped = ~_is_late(lake, rows)
    parts = [_with_own_label(lake, rows.filter(pa.array(~is_labelled & is_dropped)), values)]
    if labels is not None and is_labelled.any():
        held = pa.array(np.flatnonzero(is_labelled))
        parts.append(_with_labels(lake, rows.take(held), labels.take(pa.array(at[is_labelled])), values))
    back = pa.concat_tables([part.cast(rows.schema) for part in parts if part.num_rows] or [rows.slice(0, 0)])
    left = rows.num_rows - back.num_rows
    if not is_preview:
        counted = {RELABELLED: str(back.num_rows), WITHDRAWN: str(left)}
        _replace(attempt, which, back, {**notes, **counted})
    return Restored(relabelled=back.num_rows, left=left)


def current_labels(lake: Lake, prediction_spec: Prediction, *, but_of: str = "") -> pa.Table | None:
    """The labels that count, without those of one landing key; None if the table has no snapshot."""
    from pyiceberg.expressions import AlwaysTrue, NotEqualTo

    iceberg = lake.find("labels")
    if iceberg is None or iceberg.current_snapshot() is None:
        return None
    wanted = NotEqualTo(term=SOURCE, value=but_of) if but_of else AlwaysTrue()
    labels = iceberg.scan(row_filter=wanted).to_arrow()
    return current(labels, prediction_spec.key, prediction_spec.label_columns)


def _with_labels(lake: Lake, rows: pa.Table, labels: pa.Table, values: Sequence[str]) -> pa.Table:
    """The rows with the cells of their labels, one label for each row."""
    import pyarrow as pa

    own, is_late = _own_labels(rows, values), _is_late(lake, rows)
    sources = labels.column(SOURCE).to_pylist()
    first = [
        source if late else row for source, row, late in zip(sources, rows[SOURCE].to_pylist(), is_late, strict=True)
    ]
    cells = {name: labels.column(name).cast(rows.schema.field(name).type) for name in values}
    cells[SOURCE] = pa.array(first, pa.string())
    for name, texts in ((LABELLED_BY, sources), (OWN_LABEL, own)):
        cells[name] = pa.array([None if late else text for text, late in zip(texts, is_late, strict=True)], pa.string())
    return _with_cells(rows, cells)


def _with_own_label(lake: Lake, rows: pa.Table, values: Sequence[str]) -> pa.Table:
    """The rows of drops with the labels that they came with."""
    import pyarrow as pa

    if not rows.num_rows:
        return rows
    own = [json.loads(text) for text in _own_labels(rows, values)]
    table, nothing = lake.contract.rows, pa.nulls(rows.num_rows, pa.string())
    cells = {
        name: pa.array(
            [parse_cell(label[name], table.column(name).kind) for label in own], rows.schema.field(name).type
        )
        for name in values
    }
    return _with_cells(rows, {**cells, LABELLED_BY: nothing, OWN_LABEL: nothing})


def _own_labels(rows: pa.Table, values: Sequence[str]) -> list[str]:
    """The label that each row came with, as OWN_LABEL has it."""
    here = [json.dumps(label, default=str) for label in rows.select(values).to_pylist()]
    known = rows[OWN_LABEL].to_pylist() if OWN_LABEL in rows.column_names else [None] * len(here)
    return [before or own for before, own in zip(known, here, strict=True)]


def _with_cells(rows: pa.Table, columns: Mapping[str, Any]) -> pa.Table:
    for name, cells in columns.items():
        place = rows.schema.get_field_index(name)
        rows = rows.set_column(place, name, cells) if place >= 0 else rows.append_column(name, cells)
    return rows


def _is_late(lake: Lake, rows: pa.Table) -> npt.NDArray[np.bool_]:
    """Whether each row was made of a decision and its late label."""
    import numpy as np
    import pyarrow.compute as pc

    late = pc.fill_null(pc.starts_with(rows.column(SOURCE), f"{lake.names.workload}/labels/"), False)
    return np.asarray(late.to_numpy(zero_copy_only=False), dtype=bool)


def _is_later(lake: Lake, iceberg: IcebergTable, rows: pa.Table, labels: pa.Table) -> npt.NDArray[np.bool_]:
    """Whether each label arrived after its row. It always did if the row was made of an earlier label."""
    import numpy as np

    sources, is_late = rows.column(SOURCE).to_pylist(), _is_late(lake, rows)
    dropped = _arrivals_of_drops(Journal.of(iceberg), set(sources) - {None})
    came = np.array([dropped.get(source, 0) for source in sources], np.int64)
    later: npt.NDArray[np.bool_] = is_late | (arrivals(labels) > came)
    return later


def _arrivals_of_drops(journal: Journal, keys: Iterable[str]) -> dict[str, int]:
    """When the last version of each dropped object came, by its landing key, in microseconds since 1970."""
    moments: dict[str, int] = {}
    for key in keys:
        for entry in journal.about(key):
            if entry.key == key and SUPERSEDED not in entry.notes:
                noted = entry.notes.get(ARRIVAL)
                moment = datetime.fromisoformat(noted).timestamp() * 1e6 if noted else entry.committed_ms * 1e3
                moments[key] = round(moment)
    return moments


def _labelled_by(iceberg: IcebergTable, drop: str, *, is_prefix: bool = False) -> BooleanExpression:
    """The filter for rows whose label came by the drop, or by one whose key begins so."""
    from pyiceberg.expressions import And, EqualTo, NotNull, Or, StartsWith

    by = StartsWith if is_prefix else EqualTo
    made_of = by(term=SOURCE, value=drop)
    if LABELLED_BY not in iceberg.schema().column_names:
        return made_of
    # pyiceberg keeps a row with a null in any column of a deletion's filter, unless the filter asks for nulls itself.
    return Or(made_of, And(NotNull(term=LABELLED_BY), by(term=LABELLED_BY, value=drop)))


def _replace(attempt: Attempt, which: BooleanExpression, rows: pa.Table, notes: Mapping[str, str]) -> None:
    """Let the rows that the filter finds leave, and `rows` come."""
    if LABELLED_BY in rows.column_names:
        attempt.add_text_columns(LABELLED_BY, OWN_LABEL)
    # The file is uploaded before the commit.
    files: list[DataFile] = []
    with TemporaryDirectory() as folder:
        file = NewDataFile(attempt.table, Path(folder, "rows.parquet"))
        file.add(rows)
        if (stored := file.store()) is not None:
            files.append(stored)
    removed_as = "" if files else WITHDRAWN
    attempt.apply(
        Change(notes={RELABELLED: str(rows.num_rows), **notes}, remove=which, add=files, removed_as=removed_as)
    )


def _digest(rows: pa.Table) -> str:
    return hashlib.sha256("\n".join(raw_row(row) for row in rows.to_pylist()).encode()).hexdigest()


def matching(rows: pa.Table, key: Sequence[str]) -> BooleanExpression:
    """The filter for the rows that have one of these keys."""
    from pyiceberg.expressions import AlwaysFalse, And, EqualTo, In, Or

    if len(key) == 1:
        return In(term=key[0], literals={_literal(cell) for cell in rows.column(key[0]).to_pylist()})
    each: list[BooleanExpression] = []
    for row in rows.to_pylist():
        first, *others = (EqualTo(term=name, value=_literal(row[name])) for name in key)
        each.append(And(first, *others))
    return Or(*each) if len(each) > 1 else each[0] if each else AlwaysFalse()


def _literal(cell: Any) -> Any:
    """The cell as pyiceberg's filters take it: a time as ISO text."""
    return cell.isoformat() if isinstance(cell, date | datetime) else cell


def _between(column: str, labels: pa.Table) -> BooleanExpression:
    """The filter for the range of this column among the labels."""
    import pyarrow.compute as pc

    bounds = pc.min_max(labels.column(column)).as_py()
    return between(column, (bounds["min"], bounds["max"]))


def places(rows: pa.Table, labels: pa.Table, key: Sequence[str]) -> npt.NDArray[np.int64]:
    """The position of each row's label, -1 for a row without one."""
    import pyarrow as pa
    import pyarrow.compute as pc

    held = key_of(labels, tuple(key))
    own = key_of(rows, tuple(key))
    found = pc.index_in(own.cast(held.type), value_set=held, skip_nulls=True)
    positions: npt.NDArray[np.int64] = pc.fill_null(found, -1).cast(pa.int64()).to_numpy(zero_copy_only=False)
    return positions


def differs(rows: pa.Table, others: pa.Table, columns: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Whether any cell of these columns differs, for each pair of rows; two missing cells are equal."""
    import pyarrow.compute as pc

    # Compared by Arrow: texts in numpy are objects of 60 bytes each.
    marks = (key_of(with_marks(part, columns), tuple(columns)) for part in (rows, others))
    unequal: npt.NDArray[np.bool_] = pc.not_equal(*marks).to_numpy(zero_copy_only=False)
    return unequal
