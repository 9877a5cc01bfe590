"""Decisions on the queue become objects in the lake, one per event date and batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools import Logger

from functions.decisions.batch import QueueMessage, objects, readable
from millrace.settings.environment import Environment

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

SETTINGS = Environment.parse()
LOGGER = Logger()
S3 = boto3.client("s3")


@LOGGER.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, list[dict[str, str]]]:
    """The messages that could not be read: SQS gives them again and at last to the dead letters."""
    messages = [QueueMessage(id=record["messageId"], body=record["body"]) for record in event["Records"]]
    good, bad = readable(messages)
    for found in objects(SETTINGS.workload, good):
        S3.put_object(
            Bucket=SETTINGS.names.platform.bucket("lake"),
            Key=found.key,
            Body=found.body,
            ContentType="application/jsonlines",
        )
    for refusal in bad:
        LOGGER.error("a message holds no decisions", extra={"message_id": refusal.id, "reason": refusal.reason})
    return {"batchItemFailures": [{"itemIdentifier": refusal.id} for refusal in bad]}
