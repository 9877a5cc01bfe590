"""Tidies up after a release: deletes the models and configurations of versions before the previous one.

Their packages stay in the registry."""

from __future__ import annotations

import boto3

from millrace.functions.room import Room
from millrace.functions.tidy_release import old_models
from millrace.messages.envelope import StepInput
from millrace.messages.release import LiveState, ReleaseTidied
from millrace.settings.environment import Environment

ROOM = Room(Environment.parse(), __name__)
SAGEMAKER = boto3.client("sagemaker")


@ROOM.handles(StepInput[LiveState])
def handler(call: StepInput[LiveState]) -> ReleaseTidied:
    """Delete them and say what was deleted. A second call finds nothing more."""
    deleted = old_models.delete(SAGEMAKER, ROOM.names, ROOM.pointers.read())
    ROOM.logger.info("tidied", extra={"execution": call.execution_arn, "deleted": deleted})
    return ReleaseTidied(deleted=tuple(deleted))
