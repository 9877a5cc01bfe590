"""The audit record of what a person does by a command."""

from __future__ import annotations

from datetime import datetime

from millrace.console.environment import Environment
from millrace.messages.audit import AuditEvent
from millrace.messages.envelope import Message
from millrace.names import WorkloadNames
from millrace.state.audit import Record, append


def record(
    environment: Environment,
    names: WorkloadNames,
    event: AuditEvent,
    details: Message,
    *,
    command: str,
    by: str,
    at: datetime,
) -> None:
    """Write the record. `command` is the one that was typed, and `by` the identity of who typed it."""
    kept = Record(actor=command, execution_arn=by, event=event, as_of=at, cause="command", details=details)
    append(environment.client("dynamodb"), table=names.platform.audit_table, workload=names.workload, record=kept)
