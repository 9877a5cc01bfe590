"""One step of a teardown: what it finds, it takes away; a step that finds nothing is done."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Literal

import boto3
from aws_lambda_powertools import Logger

from functions.teardown import endpoints, running, starters, tables, versions
from millrace.messages.envelope import ExecutionInput, StepInput
from millrace.settings.teardown import TeardownSettings
from millrace.state.audit import Record, append

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

SETTINGS = TeardownSettings.parse()
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


class Step(StepInput[ExecutionInput]):
    """A machine's call, with the step that it has come to."""

    step: Literal["starters", "running", "endpoints", "versions", "tables"]


@LOGGER.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """How many things the step found; they are gone or on their way, and stand in the audit table."""
    call = Step.model_validate(event)
    found = STEPS[call.step](CLIENT, NAMES)
    LOGGER.info("teardown", extra={"step": call.step, "found": found})
    if found:
        record = Record(
            who=f"teardown of {call.execution}",
            what=f"teardown.{call.step}",
            as_of=call.state.as_of,
            cause=call.state.cause,
            details={"found": found},
        )
        append(CLIENT("dynamodb"), table=NAMES.platform.audit_table, workload=SETTINGS.workload, record=record)
    return {"found": len(found)}
