"""An execution has ended, however it ended: what it held is free; a failed release is audited and leaves nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import boto3
from aws_lambda_powertools import Logger
from pydantic import Field

from functions.cleanup import alarms, challenger
from millrace.messages.envelope import Envelope, Part
from millrace.settings.cleanup import CleanupSettings
from millrace.state.audit import Record, append
from millrace.state.table import State

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

SETTINGS = CleanupSettings.parse()
NAMES = SETTINGS.names
LOGGER = Logger()
SAGEMAKER, CLOUDWATCH, DYNAMODB = (boto3.client(name) for name in ("sagemaker", "cloudwatch", "dynamodb"))
STATE = State(DYNAMODB, table=NAMES.platform.state_table, workload=SETTINGS.workload)


class Ended(Part):
    execution: str = Field(alias="executionArn")
    machine: str = Field(alias="stateMachineArn")
    status: Literal["SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"]
    input: str | None = None
    error: str | None = None
    reason: str | None = Field(default=None, alias="cause")


@LOGGER.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """What was freed; doing it twice does no harm, for the event may come twice."""
    call = Envelope[Ended].model_validate(event)
    ended = call.detail
    freed = STATE.free(ended.execution)
    if ended.machine == NAMES.machine_arn("release") and ended.status != "SUCCEEDED":
        freed += clean_up(call)
    LOGGER.info("closed", extra={"execution": ended.execution, "status": ended.status, "freed": freed})
    return {"freed": freed}


def clean_up(call: Envelope[Ended]) -> list[str]:
    """What a failed release left: written down, then taken away unless another release has begun since."""
    ended = call.detail
    told = {"status": ended.status, "error": ended.error, "cause": ended.reason, "input": ended.input}
    record = Record(
        who=f"closing of {ended.execution}", what="release.failed", as_of=call.as_of, cause=call.cause, details=told
    )
    append(DYNAMODB, table=NAMES.platform.audit_table, workload=SETTINGS.workload, record=record)
    if STATE.lease("release") is not None:
        return []
    return [
        *challenger.delete(SAGEMAKER, NAMES.challenger),
        *alarms.delete(CLOUDWATCH, NAMES.prefix),
    ]
