"""What people have withdrawn from the tables, from the audit table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from millrace.messages.audit import RowsWithdrawn
from millrace.state.audit import Record


@dataclass(frozen=True, kw_only=True)
class Withdrawal:
    """One request that withdrew rows."""

    at: datetime
    what: str
    """`training/1996-05.parquet`, or the columns of a key with their cells."""
    rows: int
    labels: int
    reason: str
    """In the person's own words."""


def find_withdrawals(records: Iterable[Record]) -> tuple[Withdrawal, ...]:
    """The withdrawals among the records, in the order of the records."""
    return tuple(
        Withdrawal(
            at=record.as_of, what=what_of(details), rows=details.rows, labels=details.labels, reason=details.reason
        )
        for record in records
        if isinstance(details := record.details, RowsWithdrawn)
    )


def what_of(details: RowsWithdrawn) -> str:
    """What was withdrawn, as `Withdrawal.what` says it."""
    cells = ", ".join(f"{name} {cell}" for name, cell in details.key.items())
    return cells or details.drop.partition("/")[2]
