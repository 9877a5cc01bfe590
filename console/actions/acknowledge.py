"""Acknowledge an alarm: a person says that somebody acts on it, so nobody is reminded any more until it is over."""

from __future__ import annotations

from console.environment import Environment
from console.queries.versions import state_of
from millrace.messages.audit import AlarmAcknowledged, AuditEvent
from millrace.names import WorkloadNames
from millrace.state.audit import Record, append
from millrace.state.unanswered import UnansweredAlarms


def acknowledge(environment: Environment, names: WorkloadNames, alarm: str, *, reason: str) -> None:
    """Write the audit record and note it for the sweep."""
    by, at = environment.client("sts").get_caller_identity()["Arn"], environment.now()
    record = Record(
        actor="alarms",
        execution_arn=by,
        event=AuditEvent.ALARM_ACKNOWLEDGED,
        as_of=at,
        cause="command",
        details=AlarmAcknowledged(alarm=alarm, by=by, reason=reason),
    )
    append(environment.client("dynamodb"), table=names.platform.audit_table, workload=names.workload, record=record)
    UnansweredAlarms(state_of(environment, names)).acknowledge(alarm, by=by, as_of=at)
