"""May a retraining start now: lease, cool-down, budget, runs in the month, new labels. The answer is a record."""

from __future__ import annotations

from datetime import timedelta

import boto3
from aws_lambda_powertools import Logger

from functions.guard.evidence import Sources, gather
from functions.guard.retraining_decision import Evidence, RetrainingDecision, decide, decided, overtaken, record
from millrace.messages.envelope import StepInput, handles
from millrace.messages.retrain import RetrainingDecided, RetrainInput
from millrace.settings.environment import Environment
from millrace.state.audit import append
from millrace.state.leases import Leases
from millrace.state.retraining import Retrainings
from millrace.state.table import StateTable
from millrace.workload.load import load_workload
from millrace.workload.training_cost import longest_hours

SETTINGS = Environment.parse()
WORKLOAD = load_workload(SETTINGS.folder)
LOGGER = Logger()
DYNAMODB = boto3.client("dynamodb")
STATE = StateTable(DYNAMODB, SETTINGS.names)
LEASES, RETRAININGS = Leases(STATE), Retrainings(STATE)
SOURCES = Sources(settings=SETTINGS, workload=WORKLOAD, state=STATE, glue=boto3.client("glue"), s3=boto3.client("s3"))


@LOGGER.inject_lambda_context
@handles(StepInput[RetrainInput])
def handler(call: StepInput[RetrainInput]) -> RetrainingDecided:
    """Accepted or refused, why, the earliest next time (null when no clock decides it) and the evidence."""
    evidence, decision = settle(call)
    answer = decided(evidence, decision)
    kept = record(evidence, answer, cause=call.state.cause)
    append(DYNAMODB, table=SETTINGS.names.platform.audit_table, workload=SETTINGS.workload, record=kept)
    LOGGER.info(decision.sentence, extra=answer.model_dump(mode="json"))
    return answer


def settle(call: StepInput[RetrainInput]) -> tuple[Evidence, RetrainingDecision]:
    """The decision, and what it rests on. Accepted is only who holds the lease, on evidence read under the lease."""
    evidence, decision = weigh(call)
    if not decision.accepted:
        return evidence, decision
    until = evidence.as_of + timedelta(hours=longest_hours(WORKLOAD))
    if not LEASES.take("retrain", holder=call.execution_arn, as_of=evidence.as_of, expires_at=until):
        return evidence, overtaken()
    # Another execution may have been accepted, and have ended, between the reading and the lease. Refused now, this
    # one keeps the lease for a moment: `cleanup` frees it when the machine has ended.
    evidence, decision = weigh(call)
    if decision.accepted:
        RETRAININGS.record(execution_arn=call.execution_arn, as_of=evidence.as_of, labels_total=evidence.labels_total)
    return evidence, decision


def weigh(call: StepInput[RetrainInput]) -> tuple[Evidence, RetrainingDecision]:
    """The evidence as it is now, and what it decides."""
    evidence = gather(call, SOURCES)
    return evidence, decide(evidence, policy=WORKLOAD.retraining, budget=WORKLOAD.budget)
