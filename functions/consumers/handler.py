"""Acts on the decisions in the queue of one consumer, as its kind does. What is refused comes again, ever later.

While a person has paused the automation, only what a person decides goes on. The rest waits, and costs no try."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSEvent, SQSRecord
from botocore.exceptions import BotoCoreError, ClientError

from millrace.decisions.portion import portions
from millrace.decisions.standing import Switch
from millrace.errors import ConsumerError, DocumentsRefusedError
from millrace.functions.room import WorkloadRoom
from millrace.settings.consumer import ConsumerSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aws_lambda_powertools.utilities.typing import LambdaContext


LONGEST_WAIT_S = 3600
"""The longest wait for another try. Twenty tries then take ten hours (`millrace.infra.stacks.serving.TRIES`)."""
FIRST_HELD_S, LONGEST_HELD_S = 10, 900
"""In a pause a message comes again after 10 s, then each time after twice as long, up to SQS's longest delay. So it
goes on after a pause within as long again, and within fifteen minutes; a pause of a week costs 700 calls a message."""
OF_PEOPLE = ("review", "answered", "unanswered")
"""What a pause does not hold: a person decides it, or has decided it, or nothing acts."""
UNDELIVERED = {"action": "unanswered", "reason": "undelivered"}
"""What the next workload is told at the last try, if its function answers but decides nothing: no live model, say."""
ROOM = WorkloadRoom(ConsumerSettings.parse(), __name__)
SQS = boto3.client("sqs")
S3 = boto3.client("s3")
CONSUMER = ROOM.workload.consumers[ROOM.settings.consumer]
SWITCH = Switch(ROOM.state) if ROOM.workload.policy else None
ACT = CONSUMER.connect(boto3.client, ROOM.settings.platform)


@ROOM.logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, list[dict[str, str]]]:
    """Act on each message, and return those that the target has not taken."""
    failed = [record.message_id for record in SQSEvent(event).records if not takes(record)]
    return {"batchItemFailures": [{"itemIdentifier": message} for message in failed]}


def takes(record: SQSRecord) -> bool:
    """Whether the target has taken the decisions of the message. If not, the message stays hidden for a while."""
    refused: Exception | None = None
    tries = int(record.attributes.approximate_receive_count)
    # A row that is refused each time is told of twice at most, and also if the first try had failed for another reason.
    tells = tries in (1, ROOM.settings.tries)
    try:
        for documents in portions(S3, ROOM.names, CONSUMER, record.body):
            # The switch is asked for each portion: a pause holds in the middle of a file too.
            if SWITCH and (stopped := SWITCH.stopped()) and any(one["action"] not in OF_PEOPLE for one in documents):
                hold(record, reason=stopped)
                return True
            try:
                ACT([{**one, "tells": tells} for one in documents] if CONSUMER.passes_on else documents)
            except DocumentsRefusedError as error:  # the target has the others, and shall get the next ones too
                refused = error
            except (ConsumerError, BotoCoreError, ClientError) as error:
                if tries < ROOM.settings.tries or not CONSUMER.passes_on:
                    raise
                refused, why = error, UNDELIVERED | {"because": f"{tries} tries: {error}"}
                ACT([one if "because" in one else {**one, **why} for one in documents])
        if refused:
            raise refused
    except (ConsumerError, BotoCoreError, ClientError) as error:
        wait_s = min(2**tries, LONGEST_WAIT_S)
        ROOM.logger.warning(
            "decisions not taken",
            extra={"message_id": record.message_id, "reason": str(error), "tries": tries, "wait_s": wait_s},
        )
        SQS.change_message_visibility(
            QueueUrl=ROOM.settings.queue_url, ReceiptHandle=record.receipt_handle, VisibilityTimeout=wait_s
        )
        return False
    return True


def hold(record: SQSRecord, *, reason: str) -> None:
    """Send the message anew with a delay in place of the one that came: a pause then does not count as a try."""
    given: Mapping[str, Any] = record["messageAttributes"]
    held = int(given.get("held", {}).get("stringValue", 0))
    delay_s = min(FIRST_HELD_S * 2 ** min(held, 10), LONGEST_HELD_S)
    ROOM.logger.info("decisions held", extra={"message_id": record.message_id, "reason": reason, "delay_s": delay_s})
    SQS.send_message(
        QueueUrl=ROOM.settings.queue_url,
        MessageBody=record.body,
        DelaySeconds=delay_s,
        MessageAttributes={"held": {"DataType": "Number", "StringValue": str(held + 1)}},
    )
