"""The guard's decision as its answer and as an audit record."""

from __future__ import annotations

from dataclasses import asdict

from millrace.messages.audit import AuditEvent
from millrace.messages.retrain import RetrainingDecided, RetrainingEvidence
from millrace.monitoring.retraining_policy import RetrainingDecision, RetrainingFacts, labels_wanted
from millrace.state.audit import Record
from millrace.timestamps import month
from millrace.workload.declaration import Retraining


def decided(facts: RetrainingFacts, decision: RetrainingDecision, policy: Retraining) -> RetrainingDecided:
    """The decision as a message, for the machine's state, the event and the audit table."""
    return RetrainingDecided(
        **asdict(decision),
        accepted=decision.accepted,
        trigger=facts.trigger,
        evidence=RetrainingEvidence(
            as_of=facts.as_of,
            last_started_at=facts.last.started_at,
            new_labels=facts.new_labels,
            drifted_since=facts.drifted_since,
            drifted_labels=facts.drifted_labels,
            labels_wanted=labels_wanted(facts, policy),
            runs_this_month=facts.last.runs_in(month(facts.as_of)),
            spent_usd=round(facts.spent_usd, 2),
            projected_usd=round(facts.projected_usd, 2),
        ),
    )


def record(facts: RetrainingFacts, answer: RetrainingDecided, *, cause: str) -> Record:
    """The audit record of the decision."""
    return Record(
        actor="guard",
        execution_arn=facts.execution_arn,
        event=AuditEvent.RETRAIN_ACCEPTED if answer.accepted else AuditEvent.RETRAIN_REFUSED,
        as_of=facts.as_of,
        cause=cause,
        details=answer,
    )
