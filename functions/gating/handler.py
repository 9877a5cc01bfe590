"""The evaluation report against the workload's gates."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools import Logger

from functions.gating.judging import Evaluated, answer
from millrace.aws.objects import read_object
from millrace.evaluation.gates.catalogue import judge_all
from millrace.evaluation.report import Evaluation
from millrace.messages.envelope import StepInput
from millrace.settings.gating import GatingSettings
from millrace.state.audit import Record, append
from millrace.workload.load import load_workload

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

SETTINGS = GatingSettings.parse()
WORKLOAD = load_workload(Path(__file__).resolve().parents[2] / "workloads" / SETTINGS.workload)
LOGGER = Logger()
S3 = boto3.client("s3")
DYNAMODB = boto3.client("dynamodb")


@LOGGER.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Whether all gates passed, each verdict, and one sentence per gate."""
    call = StepInput[Evaluated].model_validate(event)
    uri = SETTINGS.names.run_uri(call.run, "evaluation", "evaluation.json")
    report = Evaluation.model_validate_json(read_object(S3, uri))
    judged = answer(judge_all(report, WORKLOAD.gates, against=call.state.snapshot.answer.gate))
    record = Record(
        who=f"gating of {call.execution}",
        what="model.passed" if judged["passed"] else "model.refused",
        as_of=call.state.as_of,
        cause=call.state.cause,
        details=judged,
    )
    append(DYNAMODB, table=SETTINGS.names.platform.audit_table, workload=SETTINGS.workload, record=record)
    return judged
