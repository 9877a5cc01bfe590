"""Tidies up after a release: deletes the models and configurations of versions before the previous one.

Their packages stay in the registry."""

from __future__ import annotations

import boto3
from aws_lambda_powertools import Logger

from millrace.functions.tidy_release import old_models
from millrace.messages.envelope import StepInput, handles
from millrace.messages.release import LiveState, ReleaseTidied
from millrace.settings.environment import Environment
from millrace.state.pointers import ReleasePointers
from millrace.state.table import StateTable

SETTINGS = Environment.parse()
LOGGER = Logger()
SAGEMAKER = boto3.client("sagemaker")
POINTERS = ReleasePointers(StateTable(boto3.client("dynamodb"), SETTINGS.names))


@LOGGER.inject_lambda_context
@handles(StepInput[LiveState])
def handler(call: StepInput[LiveState]) -> ReleaseTidied:
    """Delete them and say what was deleted. A second call finds nothing more."""
    deleted = old_models.delete(SAGEMAKER, SETTINGS.names, POINTERS.read())
    LOGGER.info("tidied", extra={"execution": call.execution_arn, "deleted": deleted})
    return ReleaseTidied(deleted=tuple(deleted))
