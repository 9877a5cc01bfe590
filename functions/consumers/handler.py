"""Acts on the decisions in the queue of one consumer, as its kind does. What is refused comes again, ever later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSEvent
from botocore.exceptions import BotoCoreError, ClientError

from millrace.decisions.portion import portions
from millrace.errors import ConsumerError
from millrace.settings.consumer import ConsumerSettings
from millrace.workload.load import load_workload

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
    from aws_lambda_powertools.utilities.typing import LambdaContext

LONGEST_WAIT_S = 3600
"""The longest wait for another try. Twenty tries then take ten hours (`infra.stacks.serving.TRIES`)."""
SETTINGS = ConsumerSettings.parse()
LOGGER = Logger()
SQS = boto3.client("sqs")
S3 = boto3.client("s3")
CONSUMER = load_workload(SETTINGS.folder).consumers[SETTINGS.consumer]
ACT = CONSUMER.connect(boto3.client, SETTINGS.platform)


@LOGGER.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, list[dict[str, str]]]:
    """Act on each message, and return those that the target has not taken."""
    failed = [record.message_id for record in SQSEvent(event).records if not takes(record)]
    return {"batchItemFailures": [{"itemIdentifier": message} for message in failed]}


def takes(record: SQSRecord) -> bool:
    """Whether the target has taken the decisions of the message. If not, the message stays hidden for a while."""
    try:
        for documents in portions(S3, SETTINGS.names, CONSUMER, record.body):
            ACT(documents)
    except (ConsumerError, BotoCoreError, ClientError) as error:
        tries = int(record.attributes.approximate_receive_count)
        wait_s = min(2**tries, LONGEST_WAIT_S)
        LOGGER.warning(
            "decisions not taken",
            extra={"message_id": record.message_id, "reason": str(error), "tries": tries, "wait_s": wait_s},
        )
        SQS.change_message_visibility(
            QueueUrl=SETTINGS.queue_url, ReceiptHandle=record.receipt_handle, VisibilityTimeout=wait_s
        )
        return False
    return True
