"""Decides whether a retraining may start now, by lease, cool-down, budget, runs in the month and new labels.

Every decision becomes an audit record, a refusal too."""

from __future__ import annotations

from datetime import timedelta

import boto3
from aws_lambda_powertools import Logger

from millrace.contract.load import load_contract
from millrace.datasets.tables import Lake
from millrace.functions.guard.answer import decided, record
from millrace.functions.guard.evidence import Sources, gather
from millrace.messages.audit import AuditEvent, FloorMoved
from millrace.messages.envelope import StepInput, handles
from millrace.messages.retrain import RetrainingDecided, RetrainInput
from millrace.monitoring.retraining_policy import OVERTAKEN, RetrainingDecision, RetrainingFacts, decide
from millrace.settings.environment import Environment
from millrace.state.audit import Record, append
from millrace.state.leases import Leases
from millrace.state.pointers import ReleasePointers
from millrace.state.retraining import Retrainings
from millrace.state.table import StateTable
from millrace.state.versions import FloorState
from millrace.workload.load import load_workload
from millrace.workload.training_cost import longest_hours

SETTINGS = Environment.parse()
WORKLOAD = load_workload(SETTINGS.folder)
LOGGER = Logger()
DYNAMODB = boto3.client("dynamodb")
STATE = StateTable(DYNAMODB, SETTINGS.names)
LAKE = Lake(SETTINGS.names, load_contract(SETTINGS.folder))
LEASES, RETRAININGS = Leases(STATE), Retrainings(STATE)
SOURCES = Sources(
    settings=SETTINGS, workload=WORKLOAD, state=STATE, lake=LAKE, glue=boto3.client("glue"), s3=boto3.client("s3")
)


@LOGGER.inject_lambda_context
@handles(StepInput[RetrainInput])
def handler(call: StepInput[RetrainInput]) -> RetrainingDecided:
    """Accepted or refused, why, the earliest next time, and the evidence."""
    facts, decision = settle(call)
    answer = decided(facts, decision, WORKLOAD.retraining)
    audit(record(facts, answer, cause=call.state.cause))
    if answer.trigger == "alarm" and not answer.accepted and answer.evidence.labels_wanted:
        answer_by_rule(facts, cause=call.state.cause)
    LOGGER.info(decision.sentence, extra=answer.model_dump(mode="json"))
    return answer


def settle(call: StepInput[RetrainInput]) -> tuple[RetrainingFacts, RetrainingDecision]:
    """The facts and the decision. Only the holder of the lease is accepted, on facts read under the lease.

    1. Read the facts. If they refuse, that is the decision, and no lease is taken.
    2. Take the lease. If another execution has it, refuse.
    3. Read the facts again. If they accept, record the retraining: the next one counts its labels from here."""
    facts, decision = weigh(call)
    if not decision.accepted:
        return facts, decision
    until = facts.as_of + timedelta(hours=longest_hours(WORKLOAD))
    if not LEASES.take("retrain", holder=call.execution_arn, as_of=facts.as_of, expires_at=until):
        return facts, OVERTAKEN
    # Between the first reading and the lease, another execution may have been accepted and have ended. If this one is
    # refused now, it still has the lease for a moment: `cleanup` frees it when the machine has ended.
    facts, decision = weigh(call)
    if decision.accepted:
        RETRAININGS.record(execution_arn=call.execution_arn, as_of=facts.as_of, labels_total=facts.labels_total)
    return facts, decision


def answer_by_rule(facts: RetrainingFacts, *, cause: str) -> None:
    """Let the naive rule answer until labels of the drifted period decide, if the workload declares so."""
    policy, version = WORKLOAD.policy, ReleasePointers(STATE).champion()
    if WORKLOAD.retraining.without_labels == "keep" or not (
        policy and policy.floor and version and version.rule_answer
    ):
        return
    known = FloorState.find(STATE, version.version)
    has_decided = known and facts.drifted_since and known.labels_since(facts.drifted_since) >= policy.floor.labels
    if known and (known.below or has_decided):
        return
    kept = Record(
        actor="guard",
        execution_arn=facts.execution_arn,
        event=AuditEvent.FLOOR_ON,
        as_of=facts.as_of,
        cause=cause,
        details=FloorMoved(version=version.version, below=True, before=False, labels=0, own=0, rule=0),
    )
    audit(kept)
    days, at = known.days if known else (), facts.as_of
    state = FloorState(version=version.version, below=True, since=at, as_of=at, days=days, awaits_labels=True)
    state.put(STATE)


def audit(kept: Record) -> None:
    append(DYNAMODB, table=SETTINGS.names.platform.audit_table, workload=SETTINGS.workload, record=kept)


def weigh(call: StepInput[RetrainInput]) -> tuple[RetrainingFacts, RetrainingDecision]:
    """The facts as they are now, and the decision on them."""
    facts = gather(call, SOURCES)
    return facts, decide(facts, policy=WORKLOAD.retraining, budget=WORKLOAD.budget)
