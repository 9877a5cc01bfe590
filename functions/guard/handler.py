"""May a retraining start now: lease, cool-down, budget, runs in the month, new labels. The answer is a record."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools import Logger

from functions.guard.decision import answer, decide, record
from functions.guard.evidence import Request, Sources, gather
from millrace.messages.envelope import StepInput
from millrace.settings.guard import GuardSettings
from millrace.state.audit import append
from millrace.state.table import State
from millrace.workload.load import load_workload
from millrace.workload.training_cost import longest_hours

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

SETTINGS = GuardSettings.parse()
WORKLOAD = load_workload(Path(__file__).resolve().parents[2] / "workloads" / SETTINGS.workload)
LOGGER = Logger()
DYNAMODB = boto3.client("dynamodb")
STATE = State(DYNAMODB, table=SETTINGS.names.platform.state_table, workload=SETTINGS.workload)
SOURCES = Sources(settings=SETTINGS, workload=WORKLOAD, state=STATE, glue=boto3.client("glue"), s3=boto3.client("s3"))


@LOGGER.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Accepted or refused, why, the earliest next time (null when no clock decides it) and the evidence."""
    call = StepInput[Request].model_validate(event)
    evidence = gather(call, SOURCES)
    decision = decide(evidence, policy=WORKLOAD.retraining, budget=WORKLOAD.budget)
    if decision.accepted:
        until = evidence.as_of + timedelta(hours=longest_hours(WORKLOAD))
        if STATE.take_lease("retrain", holder=call.execution, as_of=evidence.as_of, expires_at=until):
            STATE.record_retraining(run=call.execution, as_of=evidence.as_of, labels_total=evidence.labels_total)
        else:  # another execution was faster between the reading and the lease
            decision = decide(gather(call, SOURCES), policy=WORKLOAD.retraining, budget=WORKLOAD.budget)
    kept = record(evidence, decision, cause=call.state.cause)
    append(DYNAMODB, table=SETTINGS.names.platform.audit_table, workload=SETTINGS.workload, record=kept)
    LOGGER.info(decision.sentence, extra=answer(evidence, decision))
    return answer(evidence, decision)
