"""Takes rows out of a table again: by a new snapshot without them, which says so. Earlier snapshots still have them.

The earlier snapshots expire. Labels are rows of their own table: what a withdrawn label had changed has its earlier
label when it is read again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.expressions import AlwaysFalse, AlwaysTrue, And, BooleanExpression, EqualTo, In, Or
from pyiceberg.table import Table as IcebergTable

from millrace.contract.schema import SOURCE
from millrace.datasets.changes import Attempt, Change, change, count
from millrace.datasets.journal import Journal, JournalEntry
from millrace.datasets.labelled_rows import join, parts
from millrace.datasets.labels import LabelColumns, differs, places
from millrace.datasets.notes import DIGEST, WITHDRAWN, WITHDRAWN_DROP, WRITTEN_BY
from millrace.datasets.tables import Lake
from millrace.messages.withdrawal import Withdrawn
from millrace.workload.declaration import Prediction


def withdraw(lake: Lake, table: str, drop: str, *, cause: str, is_preview: bool = False) -> int:
    """The number of rows that all drops under this landing key brought. They are in no later snapshot of `table`.

    A repeated call with the same cause returns the same number. With `is_preview` nothing changes. When all rows of
    bytes have left, the same bytes come in again like new ones. Raises ConflictError if other writers win every
    time."""
    notes = {DIGEST: digest_of(drop, cause), WRITTEN_BY: cause, WITHDRAWN_DROP: drop}
    return take_out(lake, table, lambda _: _all_equal({SOURCE: drop}), notes, is_preview)


def withdraw_labels(
    lake: Lake, drop: str, prediction_spec: Prediction, *, cause: str, is_preview: bool = False
) -> Withdrawn:
    """What becomes of the labels of the label file with this landing key, and of the rows that they counted for.

    Rows leave that were made of decisions and have no other label. Others have an earlier label again, or the one that
    they came with.
    A repeated call with the same cause returns the same, as long as the snapshot before has not expired."""
    columns, digest = LabelColumns.of(prediction_spec, lake.names.workload), digest_of(drop, cause)
    gone = withdraw(lake, "labels", drop, cause=cause, is_preview=is_preview)
    labels, rows = lake.find("labels"), lake.find("rows")
    if not gone or labels is None or rows is None or rows.current_snapshot() is None:
        return Withdrawn(labels=gone, rows=0)
    done = withdrawn_before(labels, digest)
    gone_in = labels.snapshot_by_id(done.snapshot_id) if done else None
    snapshot = gone_in.parent_snapshot_id if gone_in else None
    keys = pa.concat_tables(parts(labels, columns.key, _all_equal({SOURCE: drop}), snapshot=snapshot))
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
    left = take_out(lake, "rows", lambda _: which, notes, is_preview)
    return Withdrawn(labels=gone, relabelled=int((changes & ~leaves).sum()), rows=left)


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


def digest_of(drop: str, cause: str) -> str:
    """SHA-256 that names one withdrawal: of which drop, and by which request."""
    return hashlib.sha256(f"{cause}\n{drop}".encode()).hexdigest()


def withdrawn_before(iceberg: IcebergTable, digest: str) -> JournalEntry | None:
    """The entry of this very withdrawal; None if it was not done yet."""
    return next(iter(Journal.of(iceberg).with_digest(digest)), None)


def _all_equal(cells: Mapping[str, Any]) -> BooleanExpression:
    return And(AlwaysTrue(), AlwaysTrue(), *(EqualTo(term=name, value=_literal(cell)) for name, cell in cells.items()))


def matching(rows: pa.Table, key: Sequence[str]) -> BooleanExpression:
    """The filter for the rows that have one of these keys."""
    if len(key) == 1:
        return In(term=key[0], literals={_literal(cell) for cell in rows.column(key[0]).to_pylist()})
    each = [_all_equal(row) for row in rows.select(key).to_pylist()]
    return Or(*each) if len(each) > 1 else each[0] if each else AlwaysFalse()


def _literal(cell: Any) -> Any:
    """The cell as pyiceberg's filters take it: a time as ISO text."""
    return cell.isoformat() if isinstance(cell, date | datetime) else cell
