"""What a person decides by one item of the state and its audit record: an alarm acknowledged, automation paused."""

from __future__ import annotations

from datetime import datetime

from millrace.console.environment import Environment
from millrace.console.queries.versions import state_of
from millrace.messages.audit import AlarmAcknowledged, AuditEvent, AutomationSwitched
from millrace.messages.envelope import Message
from millrace.names import WorkloadNames
from millrace.state.audit import Record, append
from millrace.state.automation import Automation
from millrace.state.unanswered import UnansweredAlarm


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


def acknowledge(environment: Environment, names: WorkloadNames, alarm: str, *, reason: str) -> None:
    """Write the audit record and note it for the sweep."""
    by, at = environment.identity(), environment.now()
    details = AlarmAcknowledged(alarm=alarm, by=by, reason=reason)
    record(environment, names, AuditEvent.ALARM_ACKNOWLEDGED, details, command="alarms", by=by, at=at)
    UnansweredAlarm(alarm=alarm, since=at).acknowledge(state_of(environment, names), by=by)


def switch(environment: Environment, names: WorkloadNames, *, paused: bool, reason: str) -> Automation:
    """The switch as it is now. What decides sees it within ten seconds (`millrace.decisions.standing`)."""
    by, at = environment.identity(), environment.now()
    written = Automation(is_paused=paused, reason=reason, by=by, since=at)
    # The switch goes first: if the command is stopped in between, automation is stopped, and the command can be
    # repeated.
    written.put(state_of(environment, names))
    event = AuditEvent.AUTOMATION_PAUSED if paused else AuditEvent.AUTOMATION_RESUMED
    record(environment, names, event, AutomationSwitched(by=by, reason=reason), command="automate", by=by, at=at)
    return written
