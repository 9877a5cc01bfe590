"""The records of the audit table: which function decided what, for which execution or person, when and why."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from millrace.console.environment import Environment
from millrace.errors import EnvironmentNotFoundError
from millrace.messages.audit import AuditEvent, RowsWithdrawn
from millrace.names import WorkloadNames
from millrace.state import audit
from millrace.state.audit import Record


def event_of(text: str) -> AuditEvent | None:
    """The event of this name; None for "". Raises EnvironmentNotFoundError, with a list of all, if there is none."""
    if text and text not in list(AuditEvent):
        raise EnvironmentNotFoundError(f"--event: expected one of {', '.join(AuditEvent)}, got {text!r}")
    return AuditEvent(text) if text else None


def find_records(
    environment: Environment, names: WorkloadNames, *, event: AuditEvent | None = None, limit: int | None = None
) -> list[Record]:
    """The newest `limit` records of the workload (None: all), the newest first; with `event` only those of this event.

    The workload need not be deployed any more: a teardown retains the table. Raises EnvironmentNotFoundError if there
    is no table."""
    client, table = environment.client("dynamodb"), environment.platform.audit_table
    records = audit.read(client, table=table, workload=names.workload, newest_first=True)
    try:
        return list(islice((one for one in records if event in (None, one.event)), limit))
    except client.exceptions.ResourceNotFoundException:
        stage = environment.platform.stage
        raise EnvironmentNotFoundError(
            f"expected the table {table} in this account and region, got none: stage {stage} is not deployed"
        ) from None


@dataclass(frozen=True, kw_only=True)
class Withdrawal:
    """One request that withdrew rows."""

    at: datetime
    what: str
    """`training/1996-05.parquet`, or `key` and the first digits of the key's pseudonym."""
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
    return f"key {details.pseudonym[:16]}" if details.pseudonym else details.drop.partition("/")[2]
