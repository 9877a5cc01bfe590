"""Records an incident that a person opens or closes, as whom CloudTrail knows and not as whom the input names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3

from millrace.messages.audit import AuditEvent, Incident
from millrace.release.askers import Askers

if TYPE_CHECKING:
    from millrace.functions.room import Room
    from millrace.messages.upkeep import UpkeepCall


def asker(room: Room[Any], call: UpkeepCall) -> str:
    """Who has started the execution. Raises AskerUnknownError until CloudTrail says it."""
    askers = Askers(room.names, states=boto3.client("stepfunctions"), trail=boto3.client("cloudtrail"))
    return askers.find(call.execution_arn)


def record_incident(room: Room[Any], call: UpkeepCall) -> None:
    """Add the record; a repeated call adds nothing. Raises the error of `asker`."""
    asked, live = call.state, room.pointers.champion()
    details = Incident(
        incident=asked.closes or call.run,
        version=live.version if live else "",
        is_serious=asked.is_serious,
        by=asker(room, call),
        reason=asked.reason,
    )
    event = AuditEvent.INCIDENT_CLOSED if asked.closes else AuditEvent.INCIDENT_OPENED
    room.audit(event, details, call, as_of=call.started or asked.as_of)
