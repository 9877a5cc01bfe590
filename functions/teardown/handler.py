"""Does the steps of a teardown in their order, up to the first one that finds something, and removes what it finds.

The machine calls again until nothing is found. So a step may request a removal and leave its end to SageMaker."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import boto3

from millrace.functions.room import Room
from millrace.functions.teardown import steps
from millrace.messages.audit import AuditEvent, ResourcesRemoved
from millrace.messages.envelope import ExecutionInput, StepInput
from millrace.messages.teardown import TeardownStep, TeardownStepDone
from millrace.settings.environment import Environment

ROOM = Room(Environment.parse(), __name__)
CLIENT = cache(boto3.client)
STEPS: dict[TeardownStep, Callable[..., list[str]]] = {
    "starters": steps.disable_starters,
    "running": steps.stop_running,
    "endpoints": steps.delete_endpoints,
    "versions": steps.delete_versions,
    "tables": steps.unregister_tables,
}


@ROOM.handles(StepInput[ExecutionInput])
def handler(call: StepInput[ExecutionInput]) -> TeardownStepDone:
    """The number of resources that a step found. They are gone or on their way, and the audit table lists them."""
    for step, remove in STEPS.items():
        if found := remove(CLIENT, ROOM.names):
            ROOM.logger.info("teardown", extra={"step": step, "found": found})
            ROOM.audit(AuditEvent.TEARDOWN_STEP, ResourcesRemoved(step=step, found=tuple(found)), call)
            return TeardownStepDone(found=len(found))
    return TeardownStepDone(found=0)
