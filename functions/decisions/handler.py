"""Decisions on the queue become objects in the lake, one per event date and batch."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools import Logger

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
    """The messages with a line that is no decision: SQS delivers them again and at last to the dead letters."""
    by_date: dict[date, dict[str, list[str]]] = defaultdict(dict)
    failed: list[str] = []
    for record in records_of(event):
        message = record["messageId"]
        try:
            dates = lines_by_date(str(record.get("body", "")).split("\n"))
        except DecisionError as error:
            LOGGER.error("a message holds no decisions", extra={"message_id": message, "reason": str(error)})
            failed.append(message)
            continue
        for day, lines in dates.items():
            by_date[day][message] = lines
    for day, messages in by_date.items():
        write(day, messages)
    return {"batchItemFailures": [{"itemIdentifier": message} for message in failed]}


def records_of(event: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The messages of SQS's event; raises DecisionError where it is none: what failed could not even be named."""
    records = event.get("Records")
    if not isinstance(records, list):
        raise DecisionError(field="Records", expected="a list of messages", came=records)
    for place, record in enumerate(records):
        if not isinstance(record, dict) or not isinstance(record.get("messageId"), str):
            raise DecisionError(field=f"Records[{place}]", expected="a message with its messageId", came=record)
    return records


def write(day: date, messages: Mapping[str, list[str]]) -> None:
    """Store the lines of one event date; the messages name the object, so a second delivery overwrites it."""
    body = "".join(f"{line}\n" for lines in messages.values() for line in lines)
    S3.put_object(
        Bucket=LAKE,
        Key=object_key(SETTINGS.workload, day, messages),
        Body=body.encode(),
        ContentType="application/jsonlines",
    )
