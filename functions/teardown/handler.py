"""Does one step of a teardown: removes what the step finds.

The machine repeats a step until it finds nothing. So a step may request a removal and leave its end to SageMaker."""

from __future__ import annotations

from functools import cache

import boto3

from millrace.functions.room import Room
from millrace.functions.teardown import steps
from millrace.messages.audit import AuditEvent, ResourcesRemoved
from millrace.messages.teardown import TeardownStepDone, TeardownStepInput
from millrace.settings.environment import Environment

ROOM = Room(Environment.parse(), __name__)
CLIENT = cache(boto3.client)
STEPS = {
    "starters": steps.disable_starters,
    "running": steps.stop_running,
    "endpoints": steps.delete_endpoints,
    "versions": steps.delete_versions,
    "tables": steps.unregister_tables,
}


@ROOM.handles(TeardownStepInput)
def handler(call: TeardownStepInput) -> TeardownStepDone:
    """The number of resources that the step found. They are gone or on their way, and the audit table lists them."""
    found = STEPS[call.step](CLIENT, ROOM.names)
    ROOM.logger.info("teardown", extra={"step": call.step, "found": found})
    if found:
        ROOM.audit(AuditEvent.TEARDOWN_STEP, ResourcesRemoved(step=call.step, found=tuple(found)), call)
    return TeardownStepDone(found=len(found))
