"""Writes the decisions of the queue to the lake, as one object for each event date of a batch of messages."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSEvent

from millrace.aws.objects import at_once
from millrace.decisions.record import lines_by_date, object_key
from millrace.errors import DecisionError
from millrace.settings.environment import Environment

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from aws_lambda_powertools.utilities.typing import LambdaContext

SETTINGS = Environment.parse()
LAKE = SETTINGS.names.platform.bucket("lake")
LOGGER = Logger()
S3 = boto3.client("s3")


@LOGGER.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, list[dict[str, str]]]:
    """Store the decisions, and return the messages with a line that is no decision.

    SQS delivers such a message again, and at last moves it to the dead letters."""
    # The lines by event date and by message. A message is taken whole or not at all.
    by_date: dict[date, dict[str, list[str]]] = defaultdict(dict)
    failed: list[str] = []
    for record in SQSEvent(event).records:
        message = record.message_id
        try:
            dates = lines_by_date(record.body.split("\n"))
        except DecisionError as error:
            LOGGER.error("a message holds no decisions", extra={"message_id": message, "reason": str(error)})
            failed.append(message)
            continue
        for day, lines in dates.items():
            by_date[day][message] = lines
    # A batch may have a thousand days. One object after the other would take longer than this function may run.
    at_once(lambda day: write(day, by_date[day]), by_date)
    return {"batchItemFailures": [{"itemIdentifier": message} for message in failed]}


def write(day: date, messages: Mapping[str, list[str]]) -> None:
    """Store the lines of one event date. The messages name the object, so a second delivery overwrites it."""
    body = "".join(f"{line}\n" for lines in messages.values() for line in lines)
    S3.put_object(
        Bucket=LAKE,
        Key=object_key(SETTINGS.workload, day, messages),
        Body=body.encode(),
        ContentType="application/jsonlines",
    )
