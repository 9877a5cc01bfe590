"""Rows are taken out of a table again: a new snapshot without them, named in its summary; those before it expire."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from millrace.contract.kinds import INTEGERS, parse_cell
from millrace.datasets.commits import try_commit, until_won
from millrace.datasets.journal import Journal
from millrace.datasets.notes import DIGEST, WITHDRAWN, WITHDRAWN_DROP, WRITTEN_BY
from millrace.datasets.tables import SOURCE, Lake
from millrace.errors import WithdrawalError

WITHDRAWN_IN_ORDER = ("labels", "rows")
"""The labels first: theirs may be found by the rows, and a retry after a failure between the two still finds them."""

if TYPE_CHECKING:
    from pyiceberg.expressions import BooleanExpression
    from pyiceberg.table import Table as IcebergTable


def by_key(lake: Lake, key: Mapping[str, Any]) -> dict[str, Any]:
    """The cells of the rows' key, in the contract's types; raises WithdrawalError for anything else.

    Times are ISO text, as a request writes them."""
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
    """What the rows of all drops under this landing key have in common."""
    return {SOURCE: key}


def withdraw(lake: Lake, table: str, cells: Mapping[str, Any], *, cause: str) -> int:
    """The number of rows that had these cells; they are in no later snapshot of `table`. Called again, the same.

    The table keeps their drop's digest: the same bytes do not come in again, other bytes may bring the keys anew.
    Labels without a column of the cells leave by the key of the rows with these cells, as long as these are there.
    Raises ConflictError when other writers win every time."""
    said = json.dumps({name: str(cell) for name, cell in cells.items()}, sort_keys=True)
    digest = hashlib.sha256(f"{cause}\n{said}".encode()).hexdigest()

    def commit() -> int | None:
        iceberg = lake.find(table)
        if iceberg is None or iceberg.current_snapshot() is None:
            return 0
        if (done := _done(iceberg, digest)) is not None:
            return done
        found = _condition(lake, iceberg, cells)
        rows = iceberg.scan(row_filter=found).count()
        if not rows:
            return 0
        drop = {WITHDRAWN_DROP: str(cells[SOURCE])} if SOURCE in cells else {}
        summary = {DIGEST: digest, WRITTEN_BY: cause, WITHDRAWN: str(rows), **drop}
        transaction = iceberg.transaction()
        transaction.delete(found, snapshot_properties=summary)
        return rows if try_commit(transaction) else None

    return until_won(commit, f"{lake.names.table(table)}: expected the withdrawal to be committed")


def _done(iceberg: IcebergTable, digest: str) -> int | None:
    entries = Journal.of(iceberg).with_digest(digest)
    return next((int(entry.notes.get(WITHDRAWN) or 0) for entry in entries), None)


def _condition(lake: Lake, iceberg: IcebergTable, cells: Mapping[str, Any]) -> BooleanExpression:
    """Whether a row of the table has these cells, or belongs to a row of `rows` that has them."""
    from pyiceberg.expressions import AlwaysFalse, Or

    if _has(iceberg, cells):
        return _all_equal(cells)
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
    """Raises ValueError or TypeError for a cell that no row can equal: NaN, None."""
    from pyiceberg.expressions import EqualTo

    # pyiceberg reads times from text.
    return EqualTo(term=name, value=cell.isoformat() if isinstance(cell, date | datetime) else cell)
