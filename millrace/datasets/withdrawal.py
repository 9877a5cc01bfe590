"""Takes rows out of a table again: by a new snapshot without them, which says so. Earlier snapshots still have them.

The earlier snapshots expire."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from millrace.contract.kinds import INTEGERS, parse_cell
from millrace.datasets.changes import Attempt, Change, change, count
from millrace.datasets.journal import Journal, JournalEntry
from millrace.datasets.notes import DIGEST, WITHDRAWN, WITHDRAWN_DROP, WRITTEN_BY
from millrace.datasets.tables import SOURCE, Lake
from millrace.errors import WithdrawalError

if TYPE_CHECKING:
    from pyiceberg.expressions import BooleanExpression
    from pyiceberg.table import Table as IcebergTable


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


def withdraw(lake: Lake, table: str, cells: Mapping[str, Any], *, cause: str, is_preview: bool = False) -> int:
    """The number of rows that had these cells. They are in no later snapshot of `table`.

    A repeated call with the same cause returns the same number. With `is_preview` nothing changes. When all rows of
    bytes have left, the same bytes come in again like new ones. If `labels` lacks a column of the cells, the labels
    leave that have a key of a row in `rows` with these cells, as long as such rows are there. Raises ConflictError if
    other writers win every time."""
    digest = digest_of(cells, cause)

    def take_out(attempt: Attempt) -> int:
        if (done := withdrawn_before(attempt.table, digest)) is not None:
            return int(done.notes.get(WITHDRAWN) or 0)
        which = _condition(lake, attempt.table, cells)
        if not (rows := count(attempt.table, which)) or is_preview:
            return rows
        drop = {WITHDRAWN_DROP: str(cells[SOURCE])} if SOURCE in cells else {}
        notes = {DIGEST: digest, WRITTEN_BY: cause, **drop}
        attempt.apply(Change(notes=notes, remove=which, removed_as=WITHDRAWN))
        return rows

    return change(lake, table, take_out, without=0)


def digest_of(cells: Mapping[str, Any], cause: str) -> str:
    """SHA-256 that names one withdrawal: which rows, and by which request."""
    said = json.dumps({name: str(cell) for name, cell in cells.items()}, sort_keys=True)
    return hashlib.sha256(f"{cause}\n{said}".encode()).hexdigest()


def withdrawn_before(iceberg: IcebergTable, digest: str) -> JournalEntry | None:
    """The entry of this very withdrawal; None if it was not done yet."""
    return next(iter(Journal.of(iceberg).with_digest(digest)), None)


def _condition(lake: Lake, iceberg: IcebergTable, cells: Mapping[str, Any]) -> BooleanExpression:
    """The filter for rows of the table with these cells or, if it lacks their columns, with the key of such a row."""
    from pyiceberg.expressions import AlwaysFalse, Or

    if _has(iceberg, cells):
        return _all_equal(cells)
    # The table lacks a column of the cells: labels are found by the keys of the rows that have these cells.
    condition: BooleanExpression = AlwaysFalse()
    rows = lake.find("rows")
    key = next((key for key in lake.contract.rows.keys if _has(iceberg, key)), None)
    if rows is None or key is None or not _has(rows, cells) or not _has(rows, key):
        return condition
    for row in rows.scan(row_filter=_all_equal(cells), selected_fields=key).to_arrow().to_pylist():
        if None not in row.values():
            condition = Or(condition, _all_equal(row))
    return condition


def _has(iceberg: IcebergTable, columns: Iterable[str]) -> bool:
    return set(columns) <= set(iceberg.schema().column_names)


def _all_equal(cells: Mapping[str, Any]) -> BooleanExpression:
    from pyiceberg.expressions import AlwaysTrue, And

    condition: BooleanExpression = AlwaysTrue()
    for name, cell in cells.items():
        condition = And(condition, _equal(name, cell))
    return condition


def _equal(name: str, cell: Any) -> BooleanExpression:
    """The filter for rows with this cell. Raises ValueError or TypeError for a cell that equals none: NaN, None."""
    from pyiceberg.expressions import EqualTo

    # pyiceberg reads times from text.
    return EqualTo(term=name, value=cell.isoformat() if isinstance(cell, date | datetime) else cell)
