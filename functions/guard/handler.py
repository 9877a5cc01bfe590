"""Decides whether a retraining may start now, by lease, cool-down, budget, runs in the month and new labels.

Every decision becomes an audit record, a refusal too."""

from __future__ import annotations

from datetime import timedelta

from millrace.contract.load import load_contract
from millrace.datasets.tables import Lake
from millrace.features.known_past import repeats_labels
from millrace.functions.guard.evidence import decided, gather
from millrace.functions.room import WorkloadRoom
from millrace.messages.audit import AuditEvent, FloorMoved
from millrace.messages.envelope import StepInput
from millrace.messages.retrain import RetrainingDecided, RetrainInput
from millrace.monitoring.retraining_policy import OVERTAKEN, RetrainingDecision, RetrainingFacts, decide
from millrace.settings.environment import Environment
from millrace.state.retraining import LastRetraining
from millrace.state.versions import FloorState
from millrace.workload.training_cost import longest_hours

ROOM = WorkloadRoom(Environment.parse(), __name__)
LAKE = Lake(ROOM.names, load_contract(ROOM.settings.folder))


@ROOM.handles(StepInput[RetrainInput])
def handler(call: StepInput[RetrainInput]) -> RetrainingDecided:
    """Accepted or refused, why, the earliest next time, and the evidence."""
    facts, decision = settle(call)
    answer = decided(facts, decision, ROOM.workload.retraining)
    ROOM.audit(AuditEvent.RETRAIN_ACCEPTED if answer.accepted else AuditEvent.RETRAIN_REFUSED, answer, call)
    if answer.trigger == "alarm" and not answer.accepted and answer.evidence.labels_wanted:
        answer_by_rule(facts, call)
    ROOM.logger.info(decision.sentence, extra=answer.model_dump(mode="json"))
    return answer


def settle(call: StepInput[RetrainInput]) -> tuple[RetrainingFacts, RetrainingDecision]:
    """The facts and the decision. Only the holder of the lease is accepted, on facts read under the lease.

    1. Read the facts. If they refuse, that is the decision, and no lease is taken.
    2. Take the lease. If another execution has it, refuse.
    3. Read the facts again. If they accept, record the retraining: the next one counts its labels from here."""
    facts, decision = weigh(call)
    if not decision.accepted:
        return facts, decision
    until = facts.as_of + timedelta(hours=longest_hours(ROOM.workload))
    if not ROOM.leases.take("retrain", holder=call.execution_arn, as_of=facts.as_of, expires_at=until):
        return facts, OVERTAKEN
    # Between the first reading and the lease, another execution may have been accepted and have ended. If this one is
    # refused now, it still has the lease for a moment: `cleanup` frees it when the machine has ended.
    facts, decision = weigh(call)
    if decision.accepted:
        LastRetraining.record(ROOM.state, call.execution_arn, facts.as_of, facts.labels_total)
    return facts, decision


def answer_by_rule(facts: RetrainingFacts, call: StepInput[RetrainInput]) -> None:
    """Let the naive rule answer until labels of the drifted period decide, if the workload declares so."""
    policy, version = ROOM.workload.policy, ROOM.pointers.champion()
    if ROOM.workload.retraining.without_labels == "keep" or not (
        policy and policy.floor and version and (version.rule_answer or repeats_labels(ROOM.workload))
    ):
        return
    known = FloorState.find(ROOM.state, version.version)
    has_decided = known and facts.drifted_since and known.labels_since(facts.drifted_since) >= policy.floor.labels
    if known and (known.below or has_decided):
        return
    moved = FloorMoved(version=version.version, below=True, before=False, labels=0, own=0, rule=0)
    ROOM.audit(AuditEvent.FLOOR_ON, moved, call)
    days, at = known.days if known else (), facts.as_of
    FloorState(version=version.version, below=True, since=at, as_of=at, days=days, awaits_labels=True).put(ROOM.state)


def weigh(call: StepInput[RetrainInput]) -> tuple[RetrainingFacts, RetrainingDecision]:
    """The facts as they are now, and the decision on them."""
    facts = gather(call, ROOM, LAKE)
    return facts, decide(facts, policy=ROOM.workload.retraining, budget=ROOM.workload.budget)
