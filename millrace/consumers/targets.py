"""Consumers that are resources of AWS: each decision becomes a message of a queue, an event of a bus, an item of a
table, or a line of a topic's message, always with its document or its id."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from importlib import import_module
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from millrace.consumers.consumer import Act, Client, Consumer, Document, Right, arn_of
from millrace.errors import ConsumerError
from millrace.names import Platform

BATCH = 10
"""The most messages, or events, of one call. They have 1 MiB together at most; a hundred documents have 240 KiB:
https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html"""
SOURCE, DETAIL_TYPE = "millrace", "decision.made"
PLAIN = re.compile(r"[\w.:+@/-]+")
AT_ONCE = 8
"""The most calls of DynamoDB at the same time. boto3's client has ten connections."""


def _batches(documents: Sequence[Document]) -> Iterator[Sequence[Document]]:
    return (documents[start : start + BATCH] for start in range(0, len(documents), BATCH))


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
            for batch in _batches(documents):
                entries = [_entry(number, one, name) for number, one in enumerate(batch)]
                if failed := sqs.send_message_batch(QueueUrl=url, Entries=entries).get("Failed"):
                    came = f"{len(failed)} of {len(entries)} refused: {failed[0]['Code']}"
                    raise ConsumerError(f"queue {name}: expected {len(entries)} messages taken, got {came}")

        return act


def _entry(number: int, document: Document, queue: str) -> dict[str, str]:
    entry = {"Id": str(number), "MessageBody": json.dumps(document, separators=(",", ":"))}
    if not queue.endswith(".fifo"):
        return entry
    # Every decision is a group of its own, so that none waits for another. What a person answers is no repetition.
    told, name = (
        hashlib.sha256(one.encode()).hexdigest() for one in (f"{document['id']} {document['action']}", document["id"])
    )
    return entry | {"MessageDeduplicationId": told, "MessageGroupId": name}


class EventBus(Consumer):
    """An event bus. Each decision is an event: `source` is `millrace`, `detail-type` is `decision.made`.

    Example: `business: {to: event, bus: orders}`"""

    to: Literal["event"]
    bus: Annotated[str, Field(pattern=r"^(arn:aws[a-z-]*:events:[a-z0-9-]+:\d{12}:event-bus/)?[A-Za-z0-9._/-]{1,256}$")]
    """The name of a bus of the stage's account and region, or the ARN of a bus of another account."""

    def arn(self, platform: Platform) -> str:
        return arn_of(self.bus, platform, "events", kind="event-bus/")

    def rights(self, platform: Platform) -> tuple[Right, ...]:
        return self.may_put("events:PutEvents", self.arn(platform))

    def connect(self, client: Client, platform: Platform) -> Act:
        events = client("events")

        def act(documents: Sequence[Document]) -> None:
            told = {"EventBusName": self.bus, "Source": SOURCE, "DetailType": DETAIL_TYPE}
            for batch in _batches(documents):
                entries = [told | {"Detail": json.dumps(one, separators=(",", ":"))} for one in batch]
                answer = events.put_events(Entries=entries)
                if failed := answer["FailedEntryCount"]:
                    codes = sorted({one["ErrorCode"] for one in answer["Entries"] if "ErrorCode" in one})
                    raise ConsumerError(f"bus {self.bus}: expected every event taken, got {failed} refused: {codes}")

        return act


class Mail(Consumer):
    """A topic of SNS. The decisions that come together are lines of one message, each with its id.

    Who reads may get a line twice, and gets no rows of dropped files.

    Example: `desk: {to: mail, topic: loans, actions: [review]}`"""

    takes_files: ClassVar[bool] = False
    to: Literal["mail"]
    topic: Annotated[str, Field(pattern=r"^(arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:)?[A-Za-z0-9_-]{1,256}$")]
    """The name of a topic of the stage's account and region, or the ARN of a topic of another account."""

    def arn(self, platform: Platform) -> str:
        return arn_of(self.topic, platform, "sns")

    def rights(self, platform: Platform) -> tuple[Right, ...]:
        return self.may_put("sns:Publish", self.arn(platform))

    def connect(self, client: Client, platform: Platform) -> Act:
        sns = client("sns")

        def act(documents: Sequence[Document]) -> None:
            # SNS takes 256 KiB, which the documents of a message have at most: a line is shorter than its document.
            workload, many = documents[0]["workload"], len(documents)
            sns.publish(
                TopicArn=self.arn(platform),
                Subject=f"{workload}: {many} decision{'s' if many > 1 else ''}",
                Message="\n".join(map(_line, documents)),
            )

        return act


def _line(document: Document) -> str:
    """`r-7-0  automated (sure)  timestamp=1997-01-01T00:00:00  value=1 confidence=0.93`."""
    key, answer = (
        " ".join(f"{_plain(name)}={_plain(value)}" for name, value in document[part].items())
        for part in ("key", "answer")
    )
    why = f"  {_plain(document['because'])}" if "because" in document else ""
    return f"{_plain(document['id'])}  {document['action']} ({document['reason']})  {key}  {answer}{why}"


def _plain(value: object) -> str:
    """A value as part of a line: whoever asks chooses keys, and a line feed in one would make a line of its own.

    Text of other characters than those of names and times is in quotes, with controls escaped: `"x\\nr-2"`."""
    text = str(value)
    if not isinstance(value, str) or PLAIN.fullmatch(text):
        return text
    shown = json.dumps(text, ensure_ascii=False)
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in shown)


class ItemTable(Consumer):
    """A table of DynamoDB with the partition key `id` (text) and no sort key. Each decision is an item: its document.

    An older decision of the same id never replaces a newer one. Example: `lookup: {to: table, table: decisions}`"""

    to: Literal["table"]
    table: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{3,255}$")]
    """The name of a table of the stage's account and region."""

    def rights(self, platform: Platform) -> tuple[Right, ...]:
        put = Right(actions=("dynamodb:PutItem",), arn=platform.table_arn(self.table))
        return (put, *self.may_use_key("kms:Decrypt"))

    def connect(self, client: Client, platform: Platform) -> Act:
        # By name: jobs read the declaration too, and know no cloud.
        dynamodb, attribute = client("dynamodb"), import_module("boto3.dynamodb.types").TypeSerializer()

        def put(document: Document) -> None:
            try:
                dynamodb.put_item(
                    TableName=self.table,
                    # DynamoDB holds a number as decimal digits: those of JSON.
                    Item=attribute.serialize(json.loads(json.dumps(document), parse_float=Decimal))["M"],
                    ConditionExpression="attribute_not_exists(id) OR decided_at <= :decided_at",
                    ExpressionAttributeValues={":decided_at": {"S": document["decided_at"]}},
                )
            except dynamodb.exceptions.ConditionalCheckFailedException:
                return  # a newer decision of this id is there

        def act(documents: Sequence[Document]) -> None:
            with ThreadPoolExecutor(AT_ONCE) as pool:
                list(pool.map(put, documents))  # `list` raises the error of a call

        return act
