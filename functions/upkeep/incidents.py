"""Records an incident that a person opens or closes, as whom CloudTrail knows and not as whom the input names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3

from millrace.messages.audit import AuditEvent, IncidentClosed, IncidentOpened
from millrace.operations.incidents import find_incidents, find_open
from millrace.release.askers import Askers
from millrace.state.audit import read

if TYPE_CHECKING:
    from millrace.functions.room import Room
    from millrace.messages.upkeep import UpkeepCall


def record_incident(room: Room[Any], call: UpkeepCall) -> None:
    """Add the record; a repeated call adds nothing.

    Raises ConfigurationError as `find_open`, and AskerUnknownError until CloudTrail says who asks."""
    others = (
        one
        for one in read(room.dynamodb, table=room.names.platform.audit_table, workload=room.names.workload)
        if one.execution_arn != call.execution_arn
    )
    asked, at, live = call.state, call.started or call.state.as_of, room.pointers.champion()
    was = find_open(find_incidents(others), asked.closes) if asked.incident == "closed" else None
    askers = Askers(room.names, states=boto3.client("stepfunctions"), trail=boto3.client("cloudtrail"))
    said = {"by": askers.find(call.execution_arn), "reason": asked.reason}
    if was:
        hours = round((at - was.opened_at).total_seconds() / 3600, 2)
        closed = IncidentClosed(incident=was.opened.incident, hours_open=hours, **said)
        room.audit(AuditEvent.INCIDENT_CLOSED, closed, call, as_of=at)
    else:
        version = live.version if live else ""
        opened = IncidentOpened(incident=call.run, version=version, is_serious=asked.is_serious, **said)
        room.audit(AuditEvent.INCIDENT_OPENED, opened, call, as_of=at)
