"""Let labels be learnt that were held, or refuse them: a person decides, and the audit says who and why."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from millrace.console.actions.audited import record
from millrace.console.actions.start import start
from millrace.console.environment import Environment
from millrace.console.queries.versions import state_of
from millrace.errors import RunError
from millrace.messages.audit import AuditEvent, HeldLabelsDecided
from millrace.names import WorkloadNames
from millrace.state.held_labels import HeldBatch, HeldLabels

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
