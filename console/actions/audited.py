"""What a person decides by an item of the state and its audit record: on an alarm, on automation, on held labels."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from millrace.console.actions.start import start
from millrace.console.environment import Environment
from millrace.console.queries.versions import state_of
from millrace.errors import RunError
from millrace.messages.audit import AlarmAcknowledged, AuditEvent, AutomationSwitched, HeldLabelsDecided
from millrace.messages.envelope import Message
from millrace.names import WorkloadNames
from millrace.state.audit import Record, append
from millrace.state.automation import Automation
from millrace.state.held_labels import HeldBatch, HeldLabels
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


DROP_SHORT = 12
"""So many characters of a drop's id name it in a table."""


def find_held(environment: Environment, names: WorkloadNames) -> list[HeldBatch]:
    """The batches of labels that were held, those that wait first."""
    return HeldLabels(state_of(environment, names)).every()


def decide(
    environment: Environment,
    names: WorkloadNames,
    wanted: str,
    status: Literal["accepted", "refused"],
    *,
    reason: str,
) -> tuple[HeldBatch, str]:
    """The batch and, if it is accepted, the name of the run that lets it be learnt.

    `wanted` is the beginning of the drop's id, or its key or the end of it. An accepted batch whose run did not start
    may be accepted again.
    Raises RunError if not exactly one waiting batch is meant, for an empty reason, and if its run was started."""
    if not reason.strip():
        raise RunError("--reason: expected a sentence for the audit table, got an empty one")
    held = HeldLabels(state_of(environment, names))
    every = held.every()
    waiting = [one for one in every if one.status == "waiting"]
    named = [one for one in every if one.object.drop_id.startswith(wanted) or one.object.key.endswith(wanted)]
    meant = [one for one in named if one in waiting] or [one for one in named if one.status == status == "accepted"]
    if len(meant) != 1:
        known = ", ".join(one.object.drop_id[:DROP_SHORT] for one in waiting) or "none waits"
        raise RunError(f"expected the id or the key of one held batch, got {wanted!r}: {known}")
    (batch,) = meant
    at = environment.now()
    if batch.status == "waiting":
        _keep(environment, names, batch, status, reason=reason, at=at)
    if status == "refused":
        return batch, ""
    detail = {"feed": "labels", "objects": [batch.object.model_dump(mode="json")]}
    run = start(
        environment.client("stepfunctions"),
        names,
        "ingest",
        as_of=at,
        more={"detail": detail},
        name=f"held-{batch.object.drop_id}",  # learnt by one run, however often it is accepted
    )
    return batch, run.name


def _keep(
    environment: Environment,
    names: WorkloadNames,
    batch: HeldBatch,
    status: Literal["accepted", "refused"],
    *,
    reason: str,
    at: datetime,
) -> None:
    """Raises RunError if somebody else has decided meanwhile."""
    by, drop_id = environment.identity(), batch.object.drop_id
    if not HeldLabels(state_of(environment, names)).decide(drop_id, status, by=by, reason=reason):
        raise RunError(f"{drop_id}: expected a batch that waits, somebody has just decided on it")
    event = AuditEvent.LABELS_ACCEPTED if status == "accepted" else AuditEvent.LABELS_REFUSED
    details = HeldLabelsDecided(
        drop=batch.object.key, drop_id=drop_id, labels=batch.labels, because=batch.because, by=by, reason=reason
    )
    record(environment, names, event, details, command="labels", by=by, at=at)
