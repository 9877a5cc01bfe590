"""The queues of a workload and of its stage that hold what was given up, and what waits for its consumers."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Generator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from millrace.console.environment import Environment
from millrace.console.queries.reviews import queue_length
from millrace.console.words import column
from millrace.consumers.catalogue import queue_of
from millrace.errors import EnvironmentNotFoundError, QueueError
from millrace.names import JOBS, ROWS, WorkloadNames
from millrace.operations.dead_letters import (
    CONSUMERS_HOLD,
    DEAD_LETTERS,
    EVENTS,
    EVENTS_HOLD,
    JOBS_HOLD,
    ROWS_HOLD,
    dead,
)

HIDDEN_S = 20
"""How long a message that is looked through stays hidden from other receivers, in seconds."""
MOST = 10
"""The most messages that one call of SQS returns."""
ATTEMPTS = 3
"""So often a record is put back into the stream before the call fails."""


@dataclass(frozen=True, kw_only=True)
class DeadQueue:
    """One dead-letter queue."""

    queue: str = column()
    """The queue's name as `millrace dead` takes it."""
    messages: int = column()
    """An approximate number: SQS counts with a delay of a minute."""
    holds: str = column()
    """What its messages are, in words."""
    reader: str = column(lambda reader: reader or "none")
    """The function that reads the messages if they go back; empty if they cannot go back."""


@dataclass(frozen=True, kw_only=True)
class DeadLetter:
    """One message."""

    sent: datetime = column()
    id: str = column(heading="message")
    attributes: dict[str, str] = column(
        lambda said: ", ".join(f"{name}: {value}" for name, value in said.items()), heading="says"
    )
    """What EventBridge or the intake says about the message, such as the reason."""
    body: str = column()


@dataclass(frozen=True, kw_only=True)
class ConsumerQueue:
    """What one consumer has not acted on. SQS counts messages with a delay of a minute.

    A message has a hundred decisions, or refers to two thousand rows of a file, at most."""

    consumer: str = column()
    waiting: int = column()
    """Messages that will be tried, for the first time or again."""
    dead: int = column()
    """Messages that were refused too often."""


def find_dead_queues(environment: Environment, names: WorkloadNames) -> tuple[DeadQueue, ...]:
    """Every dead-letter queue of the workload, and the one for the stage's events."""
    sqs = environment.client("sqs")
    found = {**_of_workload(environment, names), EVENTS: (EVENTS_HOLD, "")}
    return tuple(
        DeadQueue(queue=name, messages=queue_length(sqs, _url(environment, names, name)), holds=holds, reader=reader)
        for name, (holds, reader) in found.items()
    )


def find_consumers(environment: Environment, names: WorkloadNames) -> tuple[ConsumerQueue, ...]:
    """Every consumer that is deployed, in the order of their names."""
    sqs = environment.client("sqs")

    def length(queue: str) -> int:
        return queue_length(sqs, sqs.get_queue_url(QueueName=names.queue(queue))["QueueUrl"])

    return tuple(
        ConsumerQueue(consumer=queue.removeprefix(queue_of("")), waiting=length(queue), dead=length(dead(queue)))
        for queue in _consumer_queues(environment, names)
    )


def _consumer_queues(environment: Environment, names: WorkloadNames) -> list[str]:
    """The queues of the consumers that are deployed, as `WorkloadNames.queue` takes them: `consumer-crm`."""
    urls = environment.listed("sqs", "list_queues", "QueueUrls", QueueNamePrefix=names.queue(queue_of("")))
    found = {url.rpartition("/")[2].removeprefix(f"{names.prefix}-") for url in urls}
    return sorted(name for name in found if dead(name) in found)


def _of_workload(environment: Environment, names: WorkloadNames) -> dict[str, tuple[str, str]]:
    """What the workload's own queues hold, and which function reads them, by the name of the queue."""
    found = {name: (known.holds, known.reader) for name, known in DEAD_LETTERS.items()}
    found |= {name: (CONSUMERS_HOLD, name) for name in _consumer_queues(environment, names)}
    sqs, declared = environment.client("sqs"), {ROWS: (ROWS_HOLD, "stream"), JOBS: (JOBS_HOLD, JOBS)}
    return found | {name: said for name, said in declared.items() if _is_there(sqs, names.queue(dead(name)))}


def _is_there(sqs: Any, queue: str) -> bool:
    return bool(sqs.list_queues(QueueNamePrefix=queue).get("QueueUrls"))


def read_dead_letters(environment: Environment, names: WorkloadNames, queue: str) -> tuple[DeadLetter, ...]:
    """At most ten messages of the queue. They stay in it and can be received again at once.

    Raises EnvironmentNotFoundError if there is no queue of this name."""
    received = _receive(environment.client("sqs"), _url(environment, names, queue), hidden_s=0)
    return tuple(_letter(message) for message in received)


def delete(environment: Environment, names: WorkloadNames, queue: str, id_: str) -> DeadLetter:
    """Delete the message with this id from the queue; returns the message.

    Raises EnvironmentNotFoundError if there is no queue of this name, and if no message has the id."""
    sqs, url = environment.client("sqs"), _url(environment, names, queue)
    with closing(_take(sqs, url, lambda message: bool(message["MessageId"] == id_))) as found:
        for message in found:
            return _letter(message)
    raise EnvironmentNotFoundError(
        f"--delete: expected the id of a message, as `millrace dead {queue}` shows it, got {id_!r}; one that somebody "
        f"has just received is hidden for up to {HIDDEN_S} s"
    )


def _take(sqs: Any, url: str, is_wanted: Callable[[dict[str, Any]], bool]) -> Generator[dict[str, Any]]:
    """Delete each message that is wanted, and yield it. At the end the others can be received again at once."""
    # SQS cannot find a message. Those received on the way stay hidden, so that each call brings new ones.
    others: dict[str, str] = {}  # handles by id
    try:
        # In a long queue, the first messages become visible again before the last were received. If nothing new comes,
        # all were seen.
        while received := [each for each in _receive(sqs, url, hidden_s=HIDDEN_S) if each["MessageId"] not in others]:
            others |= {message["MessageId"]: message["ReceiptHandle"] for message in received}
            for message in filter(is_wanted, received):
                sqs.delete_message(QueueUrl=url, ReceiptHandle=others.pop(message["MessageId"]))
                yield message
    finally:
        for handle in others.values():  # who looks next sees them at once
            with suppress(sqs.exceptions.MessageNotInflight):  # it is visible again by now
                sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=0)


def redrive(environment: Environment, names: WorkloadNames, queue: str) -> int:
    """Let SQS move the messages back to the queue that they came from; returns how many there were.

    Of the stream's dead letters, the records that the function gave up go back into the stream; the others stay.

    The target is named in the call. SQS itself knows the source only of messages that it has moved, and some of these
    were put by the intake.
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_StartMessageMoveTask.html
    Raises EnvironmentNotFoundError if there is no queue of this name, and if no function would read the messages
    there."""
    found = {one.queue: one for one in find_dead_queues(environment, names)}
    url = _url(environment, names, queue)
    if not found[queue].reader:
        readable = ", ".join(name for name, one in found.items() if one.reader)
        raise EnvironmentNotFoundError(
            f"--redrive: expected a queue that a function reads ({readable}), got {queue!r}: {found[queue].holds}; "
            "send again what the message is about"
        )
    sqs = environment.client("sqs")
    if queue == ROWS:
        return sum(1 for _ in _take(sqs, url, partial(put_back, environment, names)))
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sqs.start_message_move_task(SourceArn=arn, DestinationArn=names.queue_arn(queue))
    return found[queue].messages


def put_back(environment: Environment, names: WorkloadNames, message: Mapping[str, Any]) -> bool:
    """Put the records that the stream's function gave up back into the stream, each with its partition key.

    Lambda keeps them in an object, as text within text, and S3's event about the object is their dead letter:

        {"requestContext": {"condition": "RecordAgeExceeded", …}, "payload": "{\\"Records\\": […]}"}

    https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html

    False if the message is about something else. Raises QueueError if the stream takes a record not."""
    event = json.loads(message["Body"])
    if event.get("detail-type") != "Object Created":
        return False
    bucket, key = event["detail"]["bucket"]["name"], event["detail"]["object"]["key"]
    kept = environment.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    events = [one["kinesis"] for one in json.loads(json.loads(kept)["payload"])["Records"]]
    records = [{"Data": base64.b64decode(one["data"]), "PartitionKey": one["partitionKey"]} for one in events]
    _put(environment.client("kinesis"), names.stream, records)
    return True


def _put(kinesis: Any, stream: str, records: list[dict[str, Any]]) -> None:
    # What Lambda gave to one call of the function, 500 records and 6 MB in base64, fits into one call of PutRecords.
    for _ in range(ATTEMPTS):
        failed = [one.get("ErrorCode") for one in kinesis.put_records(StreamName=stream, Records=records)["Records"]]
        records = [record for record, error in zip(records, failed, strict=True) if error]
        if not records:
            return
    raise QueueError(f"{stream}: {len(records)} records refused {ATTEMPTS} times: {next(filter(None, failed))}")


def _receive(sqs: Any, url: str, *, hidden_s: int) -> list[dict[str, Any]]:
    """Some messages of the queue, hidden from other receivers for `hidden_s` seconds."""
    answer = sqs.receive_message(
        QueueUrl=url,
        MaxNumberOfMessages=MOST,
        VisibilityTimeout=hidden_s,
        WaitTimeSeconds=1,
        MessageAttributeNames=["All"],
        MessageSystemAttributeNames=["SentTimestamp"],
    )
    return list(answer.get("Messages", []))


def _letter(message: dict[str, Any]) -> DeadLetter:
    attributes = message.get("MessageAttributes", {})
    return DeadLetter(
        id=message["MessageId"],
        sent=datetime.fromtimestamp(int(message["Attributes"]["SentTimestamp"]) / 1000, UTC),
        attributes={name: one.get("StringValue", "") for name, one in sorted(attributes.items())},
        body=message["Body"],
    )


def _url(environment: Environment, names: WorkloadNames, queue: str) -> str:
    """The URL of the dead-letter queue; raises EnvironmentNotFoundError if there is none of this name."""
    if queue == EVENTS:
        name = names.platform.queue(dead(EVENTS))
    elif queue in (known := _of_workload(environment, names)):
        name = names.queue(dead(queue))
    else:
        listed = ", ".join((*known, EVENTS))
        raise EnvironmentNotFoundError(f"QUEUE: expected one of {listed}, got {queue!r}")
    return str(environment.client("sqs").get_queue_url(QueueName=name)["QueueUrl"])
