"""Sends messages to a queue of SQS, within its limits.

A message and a batch may have 1 MiB each, and a batch ten messages:
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html
Messages stay below 256 KiB, the limit of queues that were made before 2025-08.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from millrace.errors import QueueError
from millrace.packing import packed

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

MESSAGE_BYTES = 240 * 1024
BATCH_BYTES = 1000 * 1024
BATCH_MESSAGES = 10
ATTEMPTS = 3
"""So often a message is sent before the call fails."""


def send(client: Any, queue_url: str, bodies: Iterable[str]) -> None:
    """Send every message. `client` is boto3's client of SQS.

    Raises QueueError if a message is refused. Batches that were taken before a refused one stay on the queue."""
    # Their texts are ASCII.
    for batch in packed(bodies, (len, BATCH_BYTES), most=BATCH_MESSAGES):
        # A batch may be taken in part: only the messages that were refused are sent again.
        left = {str(number): body for number, body in enumerate(batch)}
        failed: list[str] = []
        for _ in range(ATTEMPTS):
            answer = client.send_message_batch(
                QueueUrl=queue_url, Entries=[{"Id": name, "MessageBody": body} for name, body in left.items()]
            )
            failed = [f"{entry['Code']}: {entry.get('Message', '')}" for entry in answer.get("Failed", [])]
            left = {entry["Id"]: left[entry["Id"]] for entry in answer.get("Failed", [])}
            if not left:
                break
        else:
            raise QueueError(f"{len(left)} of {len(batch)} messages refused {ATTEMPTS} times: {failed[0]}")


def messages(lines: Iterable[str], *, limit: int = MESSAGE_BYTES) -> Iterator[str]:
    """The lines in order, packed into messages of at most `limit` bytes. Each message takes as many as it can."""
    # A line takes one byte more than its length, for the line feed.
    yield from map("\n".join, packed(lines, (lambda line: len(line) + 1, limit)))


def send_lines(client: Any, queue_url: str, lines: Iterable[str]) -> None:
    """Send every line. Raises QueueError if a line is refused: no prediction is answered without its decision.

    Batches that were taken before a refused one stay on the queue. So their decisions are kept though the caller gets
    an error. Readers count one decision for each id: if he repeats the request with its id, they are counted once."""
    send(client, queue_url, messages(lines))


def sent_at(record: SQSRecord) -> datetime:
    """When the message was sent the last time, by the clock of SQS."""
    return datetime.fromtimestamp(int(record.attributes.sent_timestamp) / 1000, UTC)
