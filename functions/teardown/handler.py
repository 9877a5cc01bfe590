"""Does one step of a teardown: removes what the step finds.

The machine repeats a step until it finds nothing. So a step may request a removal and leave its end to SageMaker."""

from __future__ import annotations

from functools import cache

import boto3
from aws_lambda_powertools import Logger

from millrace.functions.teardown import endpoints, running, starters, tables, versions
from millrace.messages.audit import AuditEvent, ResourcesRemoved
from millrace.messages.envelope import handles
from millrace.messages.teardown import TeardownStepDone, TeardownStepInput
from millrace.settings.environment import Environment
from millrace.state.audit import Record, append

SETTINGS = Environment.parse()
NAMES = SETTINGS.names
LOGGER = Logger()
CLIENT = cache(boto3.client)
STEPS = {
    "starters": starters.disable,
    "running": running.stop,
    "endpoints": endpoints.delete,
    "versions": versions.delete,
    "tables": tables.unregister,
}


@LOGGER.inject_lambda_context
@handles(TeardownStepInput)
def handler(call: TeardownStepInput) -> TeardownStepDone:
    """The number of resources that the step found. They are gone or on their way, and the audit table lists them."""
    found = STEPS[call.step](CLIENT, NAMES)
    LOGGER.info("teardown", extra={"step": call.step, "found": found})
    if found:
        record = Record(
            actor="teardown",
            execution_arn=call.execution_arn,
            event=AuditEvent.TEARDOWN_STEP,
            as_of=call.state.as_of,
            cause=call.state.cause,
            details=ResourcesRemoved(step=call.step, found=tuple(found)),
        )
        append(CLIENT("dynamodb"), table=NAMES.platform.audit_table, workload=SETTINGS.workload, record=record)
    return TeardownStepDone(found=len(found))
