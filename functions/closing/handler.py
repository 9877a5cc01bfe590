"""An execution has ended, however it ended: what it held is free again, and a failed release leaves no challenger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import boto3
from aws_lambda_powertools import Logger
from pydantic import Field

from functions.closing import challenger
from millrace.invocation import Envelope, Part
from millrace.settings.closing import ClosingSettings
from millrace.state import State

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

SETTINGS = ClosingSettings.parse()
NAMES = SETTINGS.names
LOGGER = Logger()
SAGEMAKER = boto3.client("sagemaker")
STATE = State(boto3.client("dynamodb"), table=NAMES.platform.state_table, workload=SETTINGS.workload)


class Ended(Part):
    execution: str = Field(alias="executionArn")
    machine: str = Field(alias="stateMachineArn")
    status: Literal["SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"]


@LOGGER.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """What was freed; doing it twice does no harm, for the event may come twice."""
    ended = Envelope[Ended].model_validate(event).detail
    freed = STATE.free(ended.execution)
    failed_release = ended.machine == NAMES.machine_arn("release") and ended.status != "SUCCEEDED"
    if failed_release and STATE.lease("release") is None:
        freed += challenger.forget(STATE) + challenger.delete(SAGEMAKER, NAMES.challenger)
    LOGGER.info("closed", extra={"execution": ended.execution, "status": ended.status, "freed": freed})
    return {"freed": freed}
