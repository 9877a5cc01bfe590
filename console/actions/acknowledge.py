"""Acknowledge an alarm: a person says that somebody acts on it, so nobody is reminded any more until it is over."""

from __future__ import annotations

from millrace.console.actions.record import record
from millrace.console.environment import Environment
from millrace.console.queries.versions import state_of
from millrace.messages.audit import AlarmAcknowledged, AuditEvent
from millrace.names import WorkloadNames
from millrace.state.unanswered import UnansweredAlarm


def acknowledge(environment: Environment, names: WorkloadNames, alarm: str, *, reason: str) -> None:
    """Write the audit record and note it for the sweep."""
    by, at = environment.identity(), environment.now()
    details = AlarmAcknowledged(alarm=alarm, by=by, reason=reason)
    record(environment, names, AuditEvent.ALARM_ACKNOWLEDGED, details, command="alarms", by=by, at=at)
    UnansweredAlarm(alarm=alarm, since=at).acknowledge(state_of(environment, names), by=by)
