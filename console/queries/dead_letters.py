"""The dead-letter queues of a workload and of its stage: how many messages, what one says, and the ways out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from console.environment import Environment
from console.queries.queue_length import queue_length
from millrace.errors import EnvironmentNotFoundError
from millrace.names import WorkloadNames
from millrace.operations.dead_letters import DEAD_LETTERS, EVENTS, EVENTS_HOLD, dead

HIDDEN_S = 20
"""For so long nobody else receives the messages among which one is searched."""
MOST = 10
"""Messages that one call of SQS gives."""


@dataclass(frozen=True, kw_only=True)
class DeadQueue:
    """One dead-letter queue."""

    queue: str
    """As `millrace dead` takes it."""
    messages: int
    """About as many: SQS counts with a delay of a minute."""
    holds: str
    reader: str
    """The function that takes dead letters that go back; empty where they cannot."""


@dataclass(frozen=True, kw_only=True)
class DeadLetter:
    """One message."""

    id: str
    sent: datetime
    attributes: dict[str, str]
    """What EventBridge or intake says about it, the reason among it."""
    body: str


def find_dead_queues(environment: Environment, names: WorkloadNames) -> tuple[DeadQueue, ...]:
    """Every dead-letter queue of the workload, and that of the stage's events."""
    found = {name: (known.holds, known.reader) for name, known in DEAD_LETTERS.items()}
    found[EVENTS] = (EVENTS_HOLD, "")
    sqs = environment.client("sqs")
    return tuple(
        DeadQueue(queue=name, messages=queue_length(sqs, _url(environment, names, name)), holds=holds, reader=reader)
        for name, (holds, reader) in found.items()
    )


def read_dead_letters(environment: Environment, names: WorkloadNames, queue: str) -> tuple[DeadLetter, ...]:
    """Some messages of the queue, ten at most; they stay in it and can be received at once again.

    Raises EnvironmentNotFoundError for a name that is no queue's."""
    received = _receive(environment.client("sqs"), _url(environment, names, queue), hidden_s=0)
    return tuple(_letter(message) for message in received)


def delete(environment: Environment, names: WorkloadNames, queue: str, id_: str) -> DeadLetter:
    """The message of this id, which is in the queue no more.

    Raises EnvironmentNotFoundError for a name that is no queue's, and where no message has the id."""
    sqs, url = environment.client("sqs"), _url(environment, names, queue)
    others: dict[str, str] = {}  # handles by id
    try:
        # In a long queue the first ones can be received again before the last are: then all were seen.
        while received := [each for each in _receive(sqs, url, hidden_s=HIDDEN_S) if each["MessageId"] not in others]:
            messages = {message["MessageId"]: message for message in received}
            if found := messages.pop(id_, None):
                sqs.delete_message(QueueUrl=url, ReceiptHandle=found["ReceiptHandle"])
            others |= {name: message["ReceiptHandle"] for name, message in messages.items()}
            if found:
                return _letter(found)
    finally:
        for handle in others.values():  # who looks next sees them at once
            sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=0)
    raise EnvironmentNotFoundError(
        f"--delete: expected the id of a message, as `millrace dead {queue}` shows it, got {id_!r}; one that somebody "
        f"has just received is hidden for up to {HIDDEN_S} s"
    )


def redrive(environment: Environment, names: WorkloadNames, queue: str) -> int:
    """Let SQS move the messages to the queue whose dead letters they are; how many it found.

    The queue is named: SQS knows the source only of messages that it has moved there itself, and intake puts some.
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_StartMessageMoveTask.html

    Raises EnvironmentNotFoundError for a name that is no queue's, and where no function would read them there."""
    found = {one.queue: one for one in find_dead_queues(environment, names)}
    url = _url(environment, names, queue)
    if not found[queue].reader:
        readable = ", ".join(name for name, one in found.items() if one.reader)
        raise EnvironmentNotFoundError(
            f"--redrive: expected a queue that a function reads ({readable}), got {queue!r}: {found[queue].holds}; "
            "start the machine with the detail of the event instead"
        )
    sqs = environment.client("sqs")
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sqs.start_message_move_task(SourceArn=arn, DestinationArn=names.queue_arn(queue))
    return found[queue].messages


def _receive(sqs: Any, url: str, *, hidden_s: int) -> list[dict[str, Any]]:
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
    if queue == EVENTS:
        name = names.platform.queue(dead(EVENTS))
    elif queue in DEAD_LETTERS:
        name = names.queue(dead(queue))
    else:
        listed = ", ".join((*DEAD_LETTERS, EVENTS))
        raise EnvironmentNotFoundError(f"QUEUE: expected one of {listed}, got {queue!r}")
    return str(environment.client("sqs").get_queue_url(QueueName=name)["QueueUrl"])
