"""The guard's decision on a retraining. Nothing is read here: `functions.guard.evidence` gathers the evidence."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from millrace.messages.audit import AuditEvent
from millrace.messages.retrain import RetrainingDecided, RetrainingEvidence, RetrainingReason, RetrainingTrigger
from millrace.state.audit import Record
from millrace.state.leases import Lease
from millrace.state.retraining import LastRetraining
from millrace.timestamps import format_utc, month, next_month
from millrace.workload.declaration import Budget, Retraining


@dataclass(frozen=True, kw_only=True)
class GuardEvidence:
    """The figures and facts that the decision rests on."""

    as_of: datetime
    trigger: RetrainingTrigger
    execution_arn: str
    """The ARN of the retrain execution that requests it."""
    has_champion: bool
    lease: Lease | None
    """The lease `retrain`."""
    last: LastRetraining
    labels_total: int
    """Rows in the table `labels`."""
    spent_usd: float
    """US dollars that are reserved in the month of `as_of`."""
    projected_usd: float
    """The most that the retraining may cost, in US dollars."""
    alarms: tuple[str, ...] = ()
    """The alarms that request it, without the workload's prefix. Empty for a schedule and a command."""
    new_rows: int = 0
    """Rows with a label that were dropped since the last retraining's snapshot, or the champion's if that is newer.

    If labels lie ahead, every dropped row counts, since it brings the label of an earlier row."""

    drifted_since: datetime | None = None
    """The start of the first window above its bound, of the alarms that may start a retraining."""
    drifted_labels: int = 0
    """Labels of rows since then."""

    @property
    def new_labels(self) -> int:
        """Labels since the last accepted retraining: late ones in the table `labels`, and those of dropped rows."""
        # The difference is negative if the table was created anew since.
        return max(0, self.labels_total - self.last.labels_total) + self.new_rows


@dataclass(frozen=True, kw_only=True)
class RetrainingDecision:
    accepted: bool
    reason: RetrainingReason
    sentence: str
    """The reason in words, for a person."""
    earliest_next: datetime | None = None
    """The earliest time at which a request like this one could be accepted.

    None if the request is accepted, or if waiting alone does not help."""


def decide(evidence: GuardEvidence, *, policy: Retraining, budget: Budget) -> RetrainingDecision:
    """The decision: accepted, or refused by the objection that lasts longest.

    Cool-down and labels do not hold back a person's command."""
    # After a redrive, the cool-down that this execution has begun itself must not refuse it.
    if evidence.last.execution_arn == evidence.execution_arn:
        return RetrainingDecision(
            accepted=True, reason=RetrainingReason.ACCEPTED, sentence="accepted before, requested again after a redrive"
        )
    if evidence.alarms and not {*evidence.alarms} & {*policy.alarms}:
        return RetrainingDecision(
            accepted=False,
            reason=RetrainingReason.ALARM,
            sentence=f"the alarm {', '.join(evidence.alarms)} is not in retraining.alarms",
        )
    objections = [_champion(evidence), _lease(evidence), _month(evidence, policy), _budget(evidence, budget)]
    if evidence.trigger != "command":
        objections += [_cool_down(evidence, policy), _drifted(evidence, policy), _labels(evidence, policy)]
    found = [objection for objection in objections if objection]
    if found:
        # An objection without a time counts as one that ends now: it is named only if no other objection lasts longer.
        return max(found, key=lambda objection: objection.earliest_next or evidence.as_of)
    return RetrainingDecision(
        accepted=True,
        reason=RetrainingReason.ACCEPTED,
        sentence=f"{evidence.new_labels} new labels, nothing against it",
    )


def overtaken() -> RetrainingDecision:
    """The refusal if another execution took the lease after the evidence was read."""
    return RetrainingDecision(
        accepted=False,
        reason=RetrainingReason.RUNNING,
        sentence="another request took the lease first",
    )


def _champion(evidence: GuardEvidence) -> RetrainingDecision | None:
    if evidence.has_champion:
        return None
    return RetrainingDecision(
        accepted=False,
        reason=RetrainingReason.NO_CHAMPION,
        sentence="there is no champion yet: start train, not retrain",
    )


def _lease(evidence: GuardEvidence) -> RetrainingDecision | None:
    lease = evidence.lease
    if lease is None or lease.holder == evidence.execution_arn or lease.expires_at <= evidence.as_of:
        return None
    return RetrainingDecision(
        accepted=False,
        reason=RetrainingReason.RUNNING,
        sentence=f"{lease.holder} retrains since {format_utc(lease.as_of)}",
        earliest_next=lease.expires_at,
    )


def _cool_down(evidence: GuardEvidence, policy: Retraining) -> RetrainingDecision | None:
    if evidence.last.started_at is None:
        return None
    earliest = evidence.last.started_at + timedelta(days=policy.cool_down_days)
    if earliest <= evidence.as_of:
        return None
    return RetrainingDecision(
        accepted=False,
        reason=RetrainingReason.COOL_DOWN,
        sentence=f"last retraining {format_utc(evidence.last.started_at)}, {policy.cool_down_days} days of cool-down",
        earliest_next=earliest,
    )


def _month(evidence: GuardEvidence, policy: Retraining) -> RetrainingDecision | None:
    runs = evidence.last.runs_in(month(evidence.as_of))
    if runs < policy.maximum_runs_per_month:
        return None
    return RetrainingDecision(
        accepted=False,
        reason=RetrainingReason.RUNS_PER_MONTH,
        sentence=f"{runs} retrainings in {month(evidence.as_of)}, at most {policy.maximum_runs_per_month} a month",
        earliest_next=next_month(evidence.as_of),
    )


def _budget(evidence: GuardEvidence, budget: Budget) -> RetrainingDecision | None:
    if evidence.spent_usd + evidence.projected_usd <= budget.monthly_usd:
        return None
    never = evidence.projected_usd > budget.monthly_usd
    return RetrainingDecision(
        accepted=False,
        reason=RetrainingReason.BUDGET,
        sentence=(
            f"{evidence.spent_usd:.2f} USD reserved in {month(evidence.as_of)}, this run up to "
            f"{evidence.projected_usd:.2f} USD, at most {budget.monthly_usd:.2f} USD a month"
        ),
        earliest_next=None if never else next_month(evidence.as_of),
    )


def _labels(evidence: GuardEvidence, policy: Retraining) -> RetrainingDecision | None:
    if evidence.new_labels >= policy.minimum_new_labels:
        return None
    return RetrainingDecision(
        accepted=False,
        reason=RetrainingReason.NEW_LABELS,
        sentence=(
            f"{evidence.new_labels} labels since the last retraining, at least {policy.minimum_new_labels} required"
        ),
    )


def labels_wanted(evidence: GuardEvidence, policy: Retraining) -> int:
    """How many labels of the drifted period are missing; 0 if no window is above its bound."""
    return max(0, policy.drifted_labels - evidence.drifted_labels) if evidence.drifted_since else 0


def _drifted(evidence: GuardEvidence, policy: Retraining) -> RetrainingDecision | None:
    if evidence.drifted_since is None or not (wanted := labels_wanted(evidence, policy)):
        return None
    return RetrainingDecision(
        accepted=False,
        reason=RetrainingReason.DRIFTED_LABELS,
        sentence=(
            f"{evidence.drifted_labels} labels of rows since {format_utc(evidence.drifted_since)}, when the drift "
            f"began; {wanted} more required"
        ),
    )


def decided(evidence: GuardEvidence, decision: RetrainingDecision, policy: Retraining) -> RetrainingDecided:
    """The decision as a message, for the machine's state, the event and the audit table."""
    return RetrainingDecided(
        accepted=decision.accepted,
        reason=decision.reason,
        trigger=evidence.trigger,
        sentence=decision.sentence,
        earliest_next=decision.earliest_next,
        evidence=RetrainingEvidence(
            as_of=evidence.as_of,
            last_started_at=evidence.last.started_at,
            new_labels=evidence.new_labels,
            drifted_since=evidence.drifted_since,
            drifted_labels=evidence.drifted_labels,
            labels_wanted=labels_wanted(evidence, policy),
            runs_this_month=evidence.last.runs_in(month(evidence.as_of)),
            spent_usd=round(evidence.spent_usd, 2),
            projected_usd=round(evidence.projected_usd, 2),
        ),
    )


def record(evidence: GuardEvidence, answer: RetrainingDecided, *, cause: str) -> Record:
    """The audit record of the decision."""
    return Record(
        actor="guard",
        execution_arn=evidence.execution_arn,
        event=AuditEvent.RETRAIN_ACCEPTED if answer.accepted else AuditEvent.RETRAIN_REFUSED,
        as_of=evidence.as_of,
        cause=cause,
        details=answer,
    )
