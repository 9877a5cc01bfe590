"""Start the machine of a dropped object's feed, once however often S3 sends its event."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from botocore.exceptions import BotoCoreError, ClientError

from millrace.errors import ConflictError, NoDropError
from millrace.messages.ingest import Start, start_of
from millrace.settings.intake import IntakeSettings
from millrace.state.pointers import ReleasePointers
from millrace.state.slots import Slots
from millrace.state.table import StateTable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
    from aws_lambda_powertools.utilities.typing import LambdaContext

SETTINGS = IntakeSettings.parse()
NAMES = SETTINGS.names
LOGGER = Logger()
STATES, SQS = boto3.client("stepfunctions"), boto3.client("sqs")
STATE = StateTable(boto3.client("dynamodb"), NAMES)
SLOTS, POINTERS = Slots(STATE), ReleasePointers(STATE)
DELAY_S, LONGER, MOST_DELAY_S = 10, 1.2, 300
"""A drop that waits is looked at again after this time, then each time after 1.2 times as long, up to the most."""
SPREAD = 0.5
"""Each delay is up to so much shorter or longer. Without it the drops of a burst would all come back in one moment, ten
of them would find a slot, and the slots would be empty until the next such moment."""
PROCESSOR = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)


@LOGGER.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """The messages that must come again: those that met an error of AWS's."""
    return process_partial_response(event=event, record_handler=take, processor=PROCESSOR, context=context)


def take(record: SQSRecord) -> None:
    """Start the message's execution; a message that is not about a drop is sent to the dead letters with the reason."""
    try:
        wanted = start_of(record.body, NAMES)
    except NoDropError as error:
        LOGGER.error("no drop", extra={"reason": str(error)})
        reason = {"DataType": "String", "StringValue": str(error)}
        SQS.send_message(
            QueueUrl=SETTINGS.dead_queue_url, MessageBody=record.body, MessageAttributes={"reason": reason}
        )
        return
    try:
        started = start(wanted)
    except ConflictError as error:
        wait(record, reason=str(error))
        return
    LOGGER.info("started" if started else "known", extra={"machine": wanted.machine, "execution": wanted.name})


def wait(record: SQSRecord, *, reason: str) -> None:
    """Send the message again, to come back soon, and let this one go: what only waits costs no receive.

    A message that is left in flight instead would come back when its visibility ends, after minutes, and be a dead
    letter after some of them. The more often it has waited, the later it comes: a backlog of a day costs little."""
    given: Mapping[str, Any] = record["messageAttributes"]
    waits = int(given.get("waits", {}).get("stringValue", 0))
    usual_s = min(MOST_DELAY_S, DELAY_S * LONGER**waits)
    delay_s = round(usual_s * random.uniform(1 - SPREAD, 1 + SPREAD))  # noqa: S311 # nosec B311 # parts retries
    SQS.send_message(
        QueueUrl=SETTINGS.queue_url,
        MessageBody=record.body,
        DelaySeconds=delay_s,
        MessageAttributes={"waits": {"DataType": "Number", "StringValue": str(waits + 1)}},
    )
    LOGGER.info("waits", extra={"reason": reason, "delay_s": delay_s, "waits": waits + 1})


def start(wanted: Start) -> bool:
    """Whether an execution was started or runs already; False when the object had its execution before.

    Raises ConflictError when every slot is taken, and for a drop to score while no model is live: as an execution it
    would hold a slot until the first release. The function `cleanup` frees a slot when its execution ends."""
    if wanted.machine == "score" and POINTERS.champion() is None:
        raise ConflictError(f"{NAMES.machine(wanted.machine)}: expected a live model, there is none yet")
    holder = NAMES.execution_arn(wanted.machine, wanted.name)
    if not SLOTS.take(wanted.machine, holder=holder, limit=SETTINGS.slots):
        raise ConflictError(f"{NAMES.machine(wanted.machine)}: expected a free slot of {SETTINGS.slots}, all are taken")
    try:
        STATES.start_execution(stateMachineArn=NAMES.machine_arn(wanted.machine), name=wanted.name, input=wanted.input)
    except STATES.exceptions.ExecutionAlreadyExists:
        if is_running(holder):
            return True
        SLOTS.free(wanted.machine, holder)
        return False
    except (BotoCoreError, ClientError):
        SLOTS.free(wanted.machine, holder)
        raise
    return True


def is_running(execution: str) -> bool:
    """Whether it runs still; the slot of one that has ended was freed, and must be again."""
    return STATES.describe_execution(executionArn=execution)["status"] in ("RUNNING", "PENDING_REDRIVE")
