"""Takes rows out of a table again: by a new snapshot without them, which says so. Earlier snapshots still have them.

The earlier snapshots expire. Labels are rows of their own table: what a withdrawn label had changed has its earlier
label when it is read again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from millrace.contract.kinds import INTEGERS, parse_cell
from millrace.contract.schema import SOURCE
from millrace.datasets.changes import Attempt, Change, change, count
from millrace.datasets.journal import Journal, JournalEntry
from millrace.datasets.labelled_rows import join, parts
from millrace.datasets.labels import LabelColumns, differs, places
from millrace.datasets.notes import DIGEST, WITHDRAWN, WITHDRAWN_DROP, WRITTEN_BY
from millrace.datasets.tables import Lake
from millrace.errors import WithdrawalError

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.expressions import BooleanExpression
    from pyiceberg.table import Table as IcebergTable

    from millrace.workload.declaration import Prediction


def by_key(lake: Lake, key: Mapping[str, Any]) -> dict[str, Any]:
    """The cells of a key of `rows`, in the contract's types. In `key`, times are ISO text, as in a request.

    Raises WithdrawalError for columns that are no key of `rows`, and for a cell of another type."""
    table = lake.contract.rows
    if tuple(sorted(key)) not in {tuple(sorted(columns)) for columns in table.keys}:
        raise WithdrawalError(f"key: expected the columns of one of {list(table.keys)}, got {sorted(key)}")
    cells: dict[str, Any] = {}
    for name, value in key.items():
        kind = table.column(name).kind
        try:
            # A command line writes numbers as text.
            cells[name] = parse_cell(int(value) if kind in INTEGERS and isinstance(value, str) else value, kind)
            _equal(name, cells[name])
        except (TypeError, ValueError):
            raise WithdrawalError(f"key.{name}: expected a {kind}, got {value!r}") from None
    return cells


def by_drop(key: str) -> dict[str, Any]:
    """The cells that the rows of all drops under this landing key have in common: the key itself, as their source."""
    return {SOURCE: key}


@dataclass(frozen=True, kw_only=True)
class WithdrawnLabels:
    """What becomes of the labels of a file and of their rows."""

    labels: int
    relabelled: int
    """The rows that have an earlier label again, or the one that they came with."""
    left: int
    """The rows that leave: they were made of decisions, and have no other label."""


def withdraw(lake: Lake, table: str, cells: Mapping[str, Any], *, cause: str, is_preview: bool = False) -> int:
    """The number of rows that had these cells. They are in no later snapshot of `table`.

    A repeated call with the same cause returns the same number. With `is_preview` nothing changes. When all rows of
    bytes have left, the same bytes come in again like new ones. If `labels` lacks a column of the cells, the labels
    leave that have a key of a row in `rows` with these cells, as long as such rows are there. Raises ConflictError if
    other writers win every time."""
    drop = {WITHDRAWN_DROP: str(cells[SOURCE])} if SOURCE in cells else {}
    notes = {DIGEST: digest_of(cells, cause), WRITTEN_BY: cause, **drop}
    return take_out(lake, table, partial(_condition, lake=lake, cells=cells), notes, is_preview)


def withdraw_labels(
    lake: Lake, drop: str, prediction_spec: Prediction, *, cause: str, is_preview: bool = False
) -> WithdrawnLabels:
    """What becomes of the labels of the label file with this landing key, and of the rows that they counted for.

    A repeated call with the same cause returns the same, as long as the snapshot before has not expired."""
    import pyarrow as pa
    import pyarrow.compute as pc

    columns, digest = LabelColumns.of(prediction_spec, lake.names.workload), digest_of(by_drop(drop), cause)
    gone = withdraw(lake, "labels", by_drop(drop), cause=cause, is_preview=is_preview)
    labels, rows = lake.find("labels"), lake.find("rows")
    if not gone or labels is None or rows is None or rows.current_snapshot() is None:
        return WithdrawnLabels(labels=gone, relabelled=0, left=0)
    done = withdrawn_before(labels, digest)
    gone_in = labels.snapshot_by_id(done.snapshot_id) if done else None
    snapshot = gone_in.parent_snapshot_id if gone_in else None
    keys = pa.concat_tables(parts(labels, columns.key, _all_equal(by_drop(drop)), snapshot=snapshot))
    # A row may have been made for a label of an earlier version of the file.
    theirs = pa.concat_tables(
        part.filter(pc.or_(pa.array(places(part, keys, columns.key) >= 0), pc.equal(part[SOURCE], drop)))
        for part in parts(rows, columns.read)
    )
    then = join(lake, columns, theirs, labels_snapshot=snapshot)
    rest = join(lake, columns, theirs, but_of=drop)
    leaves = rest.is_late & ~rest.counts
    changes = differs(then.joined(), rest.joined(), columns.values)
    which = matching(theirs.filter(pa.array(leaves)), columns.key)
    notes = {DIGEST: digest, WRITTEN_BY: cause, WITHDRAWN_DROP: drop}
    return WithdrawnLabels(
        labels=gone,
        relabelled=int((changes & ~leaves).sum()),
        left=take_out(lake, "rows", lambda _: which, notes, is_preview),
    )


def take_out(
    lake: Lake,
    table: str,
    which: Callable[[IcebergTable], BooleanExpression],
    notes: Mapping[str, str],
    is_preview: bool = False,
) -> int:
    """The number of rows that leave, or that left when this withdrawal was done before."""

    def leave(attempt: Attempt) -> int:
        if DIGEST in notes and (done := withdrawn_before(attempt.table, notes[DIGEST])) is not None:
            return int(done.notes.get(WITHDRAWN) or 0)
        found = which(attempt.table)
        if (rows := count(attempt.table, found)) and not is_preview:
            attempt.apply(Change(notes=notes, remove=found, removed_as=WITHDRAWN))
        return rows

    return change(lake, table, leave, without=0)


def digest_of(cells: Mapping[str, Any], cause: str) -> str:
    """SHA-256 that names one withdrawal: which rows, and by which request."""
    said = json.dumps({name: str(cell) for name, cell in cells.items()}, sort_keys=True)
    return hashlib.sha256(f"{cause}\n{said}".encode()).hexdigest()


def withdrawn_before(iceberg: IcebergTable, digest: str) -> JournalEntry | None:
    """The entry of this very withdrawal; None if it was not done yet."""
    return next(iter(Journal.of(iceberg).with_digest(digest)), None)


def _condition(iceberg: IcebergTable, lake: Lake, cells: Mapping[str, Any]) -> BooleanExpression:
    """The filter for rows of the table with these cells or, if it lacks their columns, with the key of such a row."""
    from pyiceberg.expressions import AlwaysFalse

    if _has(iceberg, cells):
        return _all_equal(cells)
    # The table lacks a column of the cells: labels are found by the keys of the rows that have these cells.
    rows = lake.find("rows")
    key = next((key for key in lake.contract.rows.keys if _has(iceberg, key)), None)
    if rows is None or key is None or not _has(rows, cells) or not _has(rows, key):
        return AlwaysFalse()
    return matching(rows.scan(row_filter=_all_equal(cells), selected_fields=key).to_arrow().drop_null(), key)


def _has(iceberg: IcebergTable, columns: Iterable[str]) -> bool:
    return set(columns) <= set(iceberg.schema().column_names)


def _all_equal(cells: Mapping[str, Any]) -> BooleanExpression:
    from pyiceberg.expressions import And

    equals: list[BooleanExpression] = [_equal(name, cell) for name, cell in cells.items()]
    return And(*equals) if len(equals) > 1 else equals[0]


def matching(rows: pa.Table, key: Sequence[str]) -> BooleanExpression:
    """The filter for the rows that have one of these keys."""
    from pyiceberg.expressions import AlwaysFalse, In, Or

    if len(key) == 1:
        return In(term=key[0], literals={_literal(cell) for cell in rows.column(key[0]).to_pylist()})
    each = [_all_equal(row) for row in rows.select(key).to_pylist()]
    return Or(*each) if len(each) > 1 else each[0] if each else AlwaysFalse()


def _equal(name: str, cell: Any) -> BooleanExpression:
    """The filter for rows with this cell. Raises ValueError or TypeError for a cell that equals none: NaN, None."""
    from pyiceberg.expressions import EqualTo

    return EqualTo(term=name, value=_literal(cell))


def _literal(cell: Any) -> Any:
    """The cell as pyiceberg's filters take it: a time as ISO text."""
    return cell.isoformat() if isinstance(cell, date | datetime) else cell
