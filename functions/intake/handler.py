"""Starts an execution for dropped objects, small ones together: once, however often S3 sends their events.

If an execution of several drops fails, each of its drops gets an execution of its own."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import boto3
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSEvent, SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from millrace.aws.queues import sent_at
from millrace.errors import ConflictError, NoDropError
from millrace.functions.intake import arrivals
from millrace.functions.intake.waiting import delay_of, waits_of
from millrace.functions.room import Room
from millrace.messages.ingest import LISTED, SMALL_BYTES
from millrace.names import MACHINE_OF_FEED
from millrace.settings.drop import IntakeSettings

ROOM = Room(IntakeSettings.parse(), __name__)
SQS = boto3.client("sqs")
EXECUTIONS = arrivals.Executions(ROOM)
MACHINES = frozenset(MACHINE_OF_FEED.values())
LONG_WAITS = 10
"""After so many waits, a minute, the intake looks whether the holders of the slots still run."""


@ROOM.logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, list[dict[str, str]]]:
    """The messages that must come again because of an error, in the form that Lambda expects for a batch of SQS.

    A message is about a drop, about a failed execution, or it goes to the dead letters."""
    by_id: dict[str, arrivals.Arrival] = {}
    records_of: dict[str, list[SQSRecord]] = {}
    failed: list[SQSRecord] = []
    for record in SQSEvent(event).records:
        if run_name := arrivals.failed_run(record.body, ROOM.names, MACHINES):
            failed += take(partial(EXECUTIONS.redo, run_name), [record], body=record.body)
            continue
        for told in arrivals.events_in(record.body):
            try:
                arrival = arrivals.arrival_of(told, ROOM.names, has_images=ROOM.settings.has_images)
            except NoDropError as error:
                failed += attempt(partial(reject, told, reason=str(error)), [record])
                continue
            if f"{LISTED}/" in arrival.object["key"] and arrival.size <= SMALL_BYTES:
                continue  # it comes with the list of its folder
            # Several messages may be about one drop: it is in one group, and all of them share what becomes of it.
            by_id.setdefault(arrival.drop_id, arrival)
            records_of.setdefault(arrival.drop_id, []).append(record)
    for group in arrivals.groups(by_id.values()):
        records = [record for arrival in group for record in records_of[arrival.drop_id]]
        failed += take(partial(EXECUTIONS.start, group), records, body=arrivals.bundle(group))
    # A message may be about the drops of several groups.
    return {"batchItemFailures": [{"itemIdentifier": each} for each in dict.fromkeys(one.message_id for one in failed)]}


def attempt(action: Callable[[], None], records: list[SQSRecord]) -> list[SQSRecord]:
    """The records if the action met an error, else none: other messages of the batch need not come again for it."""
    try:
        action()
    except Exception:
        return again(records)
    return []


def again(records: list[SQSRecord]) -> list[SQSRecord]:
    """The records; the error that is being handled goes to the log."""
    ROOM.logger.exception("comes again", extra={"messages": [record.message_id for record in records]})
    return records


def reject(body: str, *, reason: str) -> None:
    """Send a message that is not about a drop to the dead letters, with the reason."""
    ROOM.logger.error("no drop", extra={"reason": reason})
    attributes = {"reason": {"DataType": "String", "StringValue": reason}}
    SQS.send_message(QueueUrl=ROOM.settings.dead_queue_url, MessageBody=body, MessageAttributes=attributes)


def take(action: Callable[[], None], records: list[SQSRecord], *, body: str) -> list[SQSRecord]:
    """Start the executions that the records are about. Without a free slot one message with this body waits.

    Returns the records that must come again because of an error."""
    try:
        action()
    except ConflictError as error:
        return attempt(partial(wait, body, records, reason=str(error)), records)
    except Exception:
        return again(records)
    return []


def wait(body: str, records: list[SQSRecord], *, reason: str) -> None:
    """Send one message with a delay in place of those that came: a wait then does not count as a receive.

    The drops of a group wait in one message, and come back together with others that wait: so groups grow. A message
    that is left in flight instead would come back after minutes, when its visibility ends, and would become a dead
    letter after some receives. The more often it has waited, the later it comes: a backlog of a day costs little."""
    waits = max(map(waits_of, records)) + 1
    if waits > LONG_WAITS:
        EXECUTIONS.free_idle(now=max(map(sent_at, records)))
    delay_s = delay_of(waits)
    ROOM.logger.info("waits", extra={"reason": reason, "delay_s": delay_s, "waits": waits})
    SQS.send_message(
        QueueUrl=ROOM.settings.queue_url,
        MessageBody=body,
        DelaySeconds=delay_s,
        MessageAttributes={"waits": {"DataType": "Number", "StringValue": str(waits)}},
    )
