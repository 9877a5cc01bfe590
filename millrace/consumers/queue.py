"""A consumer that is a queue of SQS: each decision becomes one message with its document."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from millrace.consumers.consumer import Act, Client, Consumer, Document, Right, arn_of
from millrace.errors import ConsumerError
from millrace.names import Platform

BATCH = 10
"""The most messages of one call. They have 1 MiB together at most; a hundred documents have 240 KiB."""


class Queue(Consumer):
    """A queue of SQS. Each decision is a message: its document. A queue named `….fifo` drops repetitions for 5 minutes.

    Example: `orders: {to: queue, queue: order-decisions}`"""

    to: Literal["queue"]
    queue: Annotated[
        str,
        Field(pattern=r"^(arn:aws[a-z-]*:sqs:[a-z0-9-]+:\d{12}:)?[A-Za-z0-9_-]{1,80}(\.fifo)?$"),
    ]
    """The name of a queue of the stage's account and region, or the ARN of a queue of another account."""

    def arn(self, platform: Platform) -> str:
        return arn_of(self.queue, platform, "sqs")

    def rights(self, platform: Platform) -> tuple[Right, ...]:
        return self.may_put("sqs:SendMessage", self.arn(platform))

    def connect(self, client: Client, platform: Platform) -> Act:
        sqs = client("sqs")
        account, name = self.arn(platform).split(":")[4:]
        url = f"https://sqs.{platform.region}.{platform.domain}/{account}/{name}"

        def act(documents: Sequence[Document]) -> None:
            for start in range(0, len(documents), BATCH):
                entries = [_entry(number, one, name) for number, one in enumerate(documents[start : start + BATCH])]
                if failed := sqs.send_message_batch(QueueUrl=url, Entries=entries).get("Failed"):
                    came = f"{len(failed)} of {len(entries)} refused: {failed[0]['Code']}"
                    raise ConsumerError(f"queue {name}: expected {len(entries)} messages taken, got {came}")

        return act


def _entry(number: int, document: Document, queue: str) -> dict[str, str]:
    entry = {"Id": str(number), "MessageBody": json.dumps(document, separators=(",", ":"))}
    if not queue.endswith(".fifo"):
        return entry
    # Every decision is a group of its own, so that none waits for another.
    name = hashlib.sha256(str(document["id"]).encode()).hexdigest()
    return entry | {"MessageDeduplicationId": name, "MessageGroupId": name}
