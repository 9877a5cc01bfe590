"""Writes the decisions of the queue to the lake, as one object for each event date of a batch of messages.

Then it opens those that a person decides for review, and puts them into the queues of the consumers: what acts is
recorded before."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

import boto3
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSEvent, SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from millrace.aws.objects import at_once
from millrace.aws.queues import sent_at
from millrace.decisions.portion import ConsumerQueues
from millrace.decisions.record import Decision, check_input, lines_by_date, object_key
from millrace.decisions.review import ReviewItem, item_of
from millrace.errors import DecisionError
from millrace.functions.room import WorkloadRoom
from millrace.settings.environment import Environment
from millrace.state.reviews import ReviewQueue

ROOM = WorkloadRoom(Environment.parse(), __name__)
LAKE = ROOM.names.platform.bucket("lake")
CONSUMERS = ConsumerQueues.of(ROOM.names, ROOM.workload.consumers, boto3.client)
S3 = boto3.client("s3")
POLICY = ROOM.workload.policy
REVIEWS = ReviewQueue(ROOM.dynamodb, ROOM.names) if POLICY else None


@ROOM.logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, list[dict[str, str]]]:
    """Store the decisions, and return the messages with a line that is no decision.

    SQS delivers such a message again, and at last moves it to the dead letters."""
    # The lines by event date and by message. A message is taken whole or not at all.
    by_date: dict[date, dict[str, list[str]]] = defaultdict(dict)
    failed: list[str] = []
    decided: list[Decision] = []
    waiting: list[ReviewItem] = []
    for record in SQSEvent(event).records:
        message = record.message_id
        try:
            dates = lines_by_date(record.body.split("\n"))
            found = [decision for pairs in dates.values() for _, decision in pairs]
            items = list(reviewed(found, record))
        except DecisionError as error:
            ROOM.logger.error("a message holds no decisions", extra={"message_id": message, "reason": str(error)})
            failed.append(message)
            continue
        for day, pairs in dates.items():
            by_date[day][message] = [line for line, _ in pairs]
        decided += found
        waiting += items
    # A batch may have a thousand days. One object after the other would take longer than this function may run.
    at_once(lambda day: write(day, by_date[day]), by_date)
    # Behind the lake, so that whoever gets an item finds its decision. A second delivery opens none twice.
    if REVIEWS:
        at_once(REVIEWS.open, waiting)
    if CONSUMERS.consumers:
        CONSUMERS.send(decided)
    return {"batchItemFailures": [{"itemIdentifier": message} for message in failed]}


def reviewed(decided: list[Decision], record: SQSRecord) -> Iterator[ReviewItem]:
    """An item for each decision that a person makes. Time begins with the message, which has one at each delivery.

    Raises DecisionError for a row that a person could not be shown."""
    if POLICY is None:
        return
    for decision in decided:
        if decision.action == "review":
            check_input(decision)
            yield item_of(decision, POLICY.review, opened_at=sent_at(record))


def write(day: date, messages: Mapping[str, list[str]]) -> None:
    """Store the lines of one event date. The messages name the object, so a second delivery overwrites it."""
    body = "".join(f"{line}\n" for lines in messages.values() for line in lines)
    S3.put_object(
        Bucket=LAKE,
        Key=object_key(ROOM.names.workload, day, messages),
        Body=body.encode(),
        ContentType="application/jsonlines",
    )
