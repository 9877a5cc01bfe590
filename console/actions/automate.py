"""Pause the automation of a workload's decisions, or resume it: a person writes the switch and its audit record."""

from __future__ import annotations

from millrace.console.actions.record import record
from millrace.console.environment import Environment
from millrace.console.queries.versions import state_of
from millrace.messages.audit import AuditEvent, AutomationSwitched
from millrace.names import WorkloadNames
from millrace.state.automation import Automation


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
