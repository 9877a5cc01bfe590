"""Rows are taken out of a table again: a new snapshot without them, named in its summary; those before it stay."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from millrace.contract.kinds import INTEGERS, parse_cell
from millrace.datasets.commits import DIGEST, RUN, pauses
from millrace.datasets.notes import WITHDRAWN, WITHDRAWN_DROP
from millrace.datasets.tables import SOURCE, Lake
from millrace.errors import ConflictError, WithdrawalError

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
        except ValueError:
            raise WithdrawalError(f"key.{name}: expected a {kind}, got {value!r}") from None
    return cells


def by_drop(key: str) -> dict[str, Any]:
    """What the rows of all drops under this landing key have in common."""
    return {SOURCE: key}


def withdraw(lake: Lake, table: str, cells: Mapping[str, Any], *, run: str) -> int:
    """The number of rows that had these cells; they are in no later snapshot of `table`. Called again, the same.

    The table keeps their drop's digest: the same bytes do not come in again, other bytes may bring the keys anew.
    Raises ConflictError when other writers win every time."""
    from pyiceberg.exceptions import CommitFailedException

    said = json.dumps({name: str(cell) for name, cell in cells.items()}, sort_keys=True)
    digest = hashlib.sha256(f"{run}\n{said}".encode()).hexdigest()
    for pause_s in pauses():
        iceberg = lake.find(table)
        if iceberg is None or iceberg.current_snapshot() is None:
            return 0
        if (done := _done(iceberg, digest)) is not None:
            return done
        found = _condition(cells)
        rows: int = iceberg.scan(row_filter=found, selected_fields=tuple(cells)).to_arrow().num_rows
        if not rows:
            return 0
        drop = {WITHDRAWN_DROP: str(cells[SOURCE])} if SOURCE in cells else {}
        summary = {DIGEST: digest, RUN: run, WITHDRAWN: str(rows), **drop}
        try:
            iceberg.delete(found, snapshot_properties=summary)
        except CommitFailedException:
            time.sleep(pause_s)
        else:
            return rows
    raise ConflictError(f"{lake.names.table(table)}: expected the withdrawal to be committed, others always won")


def _done(iceberg: IcebergTable, digest: str) -> int | None:
    summaries = [snapshot.summary for snapshot in iceberg.metadata.snapshots if snapshot.summary is not None]
    return next((int(one.get(WITHDRAWN) or 0) for one in summaries if one.get(DIGEST) == digest), None)


def _condition(cells: Mapping[str, Any]) -> BooleanExpression:
    from pyiceberg.expressions import AlwaysTrue, And, EqualTo

    condition: BooleanExpression = AlwaysTrue()
    for name, cell in cells.items():
        condition = And(condition, EqualTo(term=name, value=_literal(cell)))
    return condition


def _literal(cell: Any) -> Any:
    """pyiceberg reads times from text."""
    return cell.isoformat() if isinstance(cell, date | datetime) else cell
