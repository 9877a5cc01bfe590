"""Whether a retraining may start: the decision of the function `guard`, and of a simulation on a day that is past.

Nothing is read here. `millrace.functions.guard.evidence` gathers the facts, `millrace.simulation` those of its day."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from millrace.messages.retrain import RetrainingReason, RetrainingTrigger
from millrace.state.holdings import Lease
from millrace.state.retraining import LastRetraining
from millrace.timestamps import format_utc, month, next_month
from millrace.workload.declaration import Budget, Retraining


@dataclass(frozen=True, kw_only=True)
class RetrainingFacts:
    """The figures and facts that the decision rests on."""

    as_of: datetime
    trigger: RetrainingTrigger
    execution_arn: str
    """The ARN of the retrain execution that requests it."""
    has_champion: bool
    lease: Lease | None = None
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
    """Accepted, or the objection that refuses it."""

    reason: RetrainingReason
    sentence: str
    """The reason in words, for a person."""
    earliest_next: datetime | None = None
    """The earliest time at which a request like this one could be accepted.

    None if the request is accepted, or if waiting alone does not help."""

    @property
    def accepted(self) -> bool:
        return self.reason == RetrainingReason.ACCEPTED


OVERTAKEN = RetrainingDecision(reason=RetrainingReason.RUNNING, sentence="another request took the lease first")
"""The refusal if another execution took the lease after the facts were read."""


def decide(facts: RetrainingFacts, *, policy: Retraining, budget: Budget) -> RetrainingDecision:
    """The decision: accepted, or refused by the objection that lasts longest.

    Cool-down and labels do not hold back a person's command."""
    # After a redrive, the cool-down that this execution has begun itself must not refuse it.
    if facts.last.execution_arn == facts.execution_arn:
        return _decision(RetrainingReason.ACCEPTED, "accepted before, requested again after a redrive")
    if facts.alarms and not {*facts.alarms} & {*policy.alarms}:
        return _decision(RetrainingReason.ALARM, f"the alarm {', '.join(facts.alarms)} is not in retraining.alarms")
    found = list(_objections(facts, policy, budget))
    if facts.trigger != "command":
        found += _objections_to_programs(facts, policy)
    if found:
        # An objection without a time counts as one that ends now: it is named only if no other objection lasts longer.
        return max(found, key=lambda objection: objection.earliest_next or facts.as_of)
    return _decision(RetrainingReason.ACCEPTED, f"{facts.new_labels} new labels, nothing against it")


def labels_wanted(facts: RetrainingFacts, policy: Retraining) -> int:
    """How many labels of the drifted period are missing; 0 if no window is above its bound."""
    return max(0, policy.drifted_labels - facts.drifted_labels) if facts.drifted_since else 0


def _decision(reason: RetrainingReason, sentence: str, earliest: datetime | None = None) -> RetrainingDecision:
    return RetrainingDecision(reason=reason, sentence=sentence, earliest_next=earliest)


def _objections(facts: RetrainingFacts, policy: Retraining, budget: Budget) -> Iterator[RetrainingDecision]:
    """Those that hold back a person too."""
    if not facts.has_champion:
        yield _decision(RetrainingReason.NO_CHAMPION, "there is no champion yet: start train, not retrain")
    lease = facts.lease
    if lease and lease.holder != facts.execution_arn and lease.expires_at > facts.as_of:
        sentence = f"{lease.holder} retrains since {format_utc(lease.as_of)}"
        yield _decision(RetrainingReason.RUNNING, sentence, lease.expires_at)
    at, later = month(facts.as_of), next_month(facts.as_of)
    if (runs := facts.last.runs_in(at)) >= policy.maximum_runs_per_month:
        sentence = f"{runs} retrainings in {at}, at most {policy.maximum_runs_per_month} a month"
        yield _decision(RetrainingReason.RUNS_PER_MONTH, sentence, later)
    if facts.spent_usd + facts.projected_usd > budget.monthly_usd:
        sentence = f"{facts.spent_usd:.2f} USD reserved in {at}, this run up to {facts.projected_usd:.2f} USD, at most "
        sentence += f"{budget.monthly_usd:.2f} USD a month"
        ever = None if facts.projected_usd > budget.monthly_usd else later
        yield _decision(RetrainingReason.BUDGET, sentence, ever)


def _objections_to_programs(facts: RetrainingFacts, policy: Retraining) -> Iterator[RetrainingDecision]:
    """Those that hold back an alarm or a schedule alone."""
    started = facts.last.started_at
    if started and (earliest := started + timedelta(days=policy.cool_down_days)) > facts.as_of:
        sentence = f"last retraining {format_utc(started)}, {policy.cool_down_days} days of cool-down"
        yield _decision(RetrainingReason.COOL_DOWN, sentence, earliest)
    if facts.drifted_since and (wanted := labels_wanted(facts, policy)):
        began = f"{format_utc(facts.drifted_since)}, when the drift began"
        sentence = f"{facts.drifted_labels} labels of rows since {began}; {wanted} more required"
        yield _decision(RetrainingReason.DRIFTED_LABELS, sentence)
    if facts.new_labels < policy.minimum_new_labels:
        sentence = f"{facts.new_labels} labels since the last retraining, at least {policy.minimum_new_labels} required"
        yield _decision(RetrainingReason.NEW_LABELS, sentence)
