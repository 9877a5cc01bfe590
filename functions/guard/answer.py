"""The guard's decision as its answer."""

from __future__ import annotations

from dataclasses import asdict

from millrace.messages.retrain import RetrainingDecided, RetrainingEvidence
from millrace.monitoring.retraining_policy import RetrainingDecision, RetrainingFacts, labels_wanted
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
