"""Puts corrected labels into rows of the dataset: each row leaves and comes back with the later label, in one commit.

The rule is in `millrace.datasets.corrections`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from millrace.contract.deduplicate import key_of, with_marks
from millrace.contract.violation import raw_row
from millrace.datasets.commits import try_commit, until_won
from millrace.datasets.corrections import arrivals
from millrace.datasets.journal import Journal
from millrace.datasets.new_rows import between
from millrace.datasets.notes import ARRIVAL, DIGEST, LABELS_SNAPSHOT, ORIGIN, SUPERSEDED, WITHDRAWN, WRITTEN_BY
from millrace.datasets.tables import SOURCE, Lake, NewDataFile

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa
    from pyiceberg.expressions import BooleanExpression
    from pyiceberg.table import Table as IcebergTable

    from millrace.workload.declaration import Prediction

CORRECTED = "millrace.rows-corrected"
"""How many rows of a snapshot came back with another label: an entry of its summary."""


def correct_rows(lake: Lake, labels: pa.Table, prediction_spec: Prediction, *, run: str, snapshot_id: int) -> int:
    """The number of rows that got another label, because a label that arrived later says another value.

    `labels` are the labels that count (`corrections.current`). A second call finds nothing to do and returns 0. Raises
    ConflictError if other writers win every time."""

    def commit() -> int | None:
        iceberg = lake.find("rows")
        if iceberg is None or iceberg.current_snapshot() is None or not labels.num_rows:
            return 0
        rows = _corrected(lake, iceberg, labels, prediction_spec)
        if not rows.num_rows:
            return 0
        is_won = _replace(lake, iceberg, rows, prediction_spec.key, run=run, snapshot_id=snapshot_id)
        return int(rows.num_rows) if is_won else None

    return until_won(commit, f"{lake.names.table('rows')}: expected the corrections to be committed")


def _corrected(lake: Lake, iceberg: IcebergTable, labels: pa.Table, prediction_spec: Prediction) -> pa.Table:
    """The rows that must be corrected, with the values and the landing keys of their labels."""
    import numpy as np
    import pyarrow as pa

    # First only keys, labels and sources are read, to find the rows with an older value than their label's.
    key, values = prediction_spec.key, prediction_spec.label_columns
    there = iceberg.scan(row_filter=_between(key[0], labels), selected_fields=(*key, *values, SOURCE)).to_arrow()
    at = _places(there, labels, key)
    held = np.flatnonzero(at >= 0)
    own, new = there.take(pa.array(held)), labels.take(pa.array(at[held]))
    differs = _marks(own, values) != _marks(new, values)
    wrong = own.filter(pa.array(differs & _is_later(lake, iceberg, own, new)))
    if not wrong.num_rows:
        return wrong
    # Then these few rows are read whole and get the cells of their labels.
    rows = iceberg.scan(row_filter=matching(wrong.select(key), key)).to_arrow()
    place = pa.array(_places(rows, labels, key))
    for name in (*values, SOURCE):
        cells = labels.column(name).take(place).combine_chunks().cast(rows.schema.field(name).type)
        rows = rows.set_column(rows.schema.get_field_index(name), name, cells)
    return rows


def _is_later(lake: Lake, iceberg: IcebergTable, rows: pa.Table, labels: pa.Table) -> npt.NDArray[np.bool_]:
    """Whether each label arrived after its row. It always did if the row has its value from an earlier label."""
    import numpy as np

    sources = rows.column(SOURCE).to_pylist()
    dropped = _arrivals_of_drops(Journal.of(iceberg), set(sources) - {None})
    feed, moments = f"{lake.names.workload}/labels/", arrivals(labels)
    return np.array(
        [
            source.startswith(feed) or moment > dropped.get(source, 0)
            for source, moment in zip(sources, moments.tolist(), strict=True)
        ],
        dtype=bool,
    )


def _arrivals_of_drops(journal: Journal, keys: Iterable[str]) -> dict[str, int]:
    """When the last version of each dropped object came, by its landing key, in microseconds since 1970."""
    found: dict[str, int] = {}
    for key in keys:
        for entry in journal.about(key):
            if entry.key == key and SUPERSEDED not in entry.notes:
                noted = entry.notes.get(ARRIVAL)
                known = datetime.fromisoformat(noted).timestamp() * 1e6 if noted else entry.committed_ms * 1e3
                found[key] = round(known)
    return found


def _replace(
    lake: Lake, iceberg: IcebergTable, rows: pa.Table, key: Sequence[str], *, run: str, snapshot_id: int
) -> bool:
    """Whether the rows have left and come back, in one commit; False if another writer was first."""
    content = "\n".join(raw_row(row) for row in rows.to_pylist())
    summary = {
        DIGEST: hashlib.sha256(content.encode()).hexdigest(),
        ORIGIN: f"{lake.names.table('labels')}@{snapshot_id}",
        WRITTEN_BY: run,
        LABELS_SNAPSHOT: str(snapshot_id),
        CORRECTED: str(rows.num_rows),
    }
    # The file with the corrected rows is uploaded first. Then one transaction has two snapshots: one without the former
    # rows, one with the file.
    with TemporaryDirectory() as folder:
        file = NewDataFile(iceberg, Path(folder, "rows.parquet"))
        file.add(rows)
        stored = file.store()
    assert stored is not None
    transaction = iceberg.transaction()
    left = {WRITTEN_BY: run, WITHDRAWN: str(rows.num_rows)}
    transaction.delete(matching(rows.select(list(key)), key), snapshot_properties=left)
    with transaction.update_snapshot(snapshot_properties=summary).fast_append() as append:
        append.append_data_file(stored)
    return try_commit(transaction)


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

    found = pc.min_max(labels.column(column)).as_py()
    return between(column, (found["min"], found["max"]))


def _places(rows: pa.Table, labels: pa.Table, key: Sequence[str]) -> npt.NDArray[np.int64]:
    """The position of each row's label, -1 for a row without one."""
    import pyarrow as pa
    import pyarrow.compute as pc

    held = key_of(labels, tuple(key))
    own = key_of(rows, tuple(key))
    found = pc.index_in(own.cast(held.type), value_set=held, skip_nulls=True)
    places: npt.NDArray[np.int64] = pc.fill_null(found, -1).cast(pa.int64()).to_numpy(zero_copy_only=False)
    return places


def _marks(rows: pa.Table, columns: Sequence[str]) -> Any:
    """One text for each row; two texts are equal if all cells of the columns are, missing cells included."""
    return key_of(with_marks(rows, columns), tuple(columns)).to_numpy(zero_copy_only=False)
