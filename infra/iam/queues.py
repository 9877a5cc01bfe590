"""Rights on queues and on dead-letter queues."""

from __future__ import annotations

from millrace.infra.iam.resource import Resource, Statement, resource
from millrace.names import WorkloadNames


def send(queue_arn: str) -> Statement:
    """Put messages into the queue."""
    return resource("sqs", queue_arn).may("SendMessage")


def receive(queue_arn: str) -> Statement:
    """Receive and delete messages: what Lambda's poller needs to feed a function from the queue."""
    return resource("sqs", queue_arn).may("ReceiveMessage", "DeleteMessage", "GetQueueAttributes")


def hide(queue_arn: str) -> Statement:
    """Say when a message that was received, and not deleted, is received again."""
    return resource("sqs", queue_arn).may("ChangeMessageVisibility")


def feeds_of(names: WorkloadNames, function: str) -> Resource:
    """The event source mappings by which queues feed the function."""
    return resource(
        "lambda",
        names.platform.arn("lambda", "event-source-mapping:*"),
        where={"ArnEquals": {"lambda:FunctionArn": names.function_arn(function)}},
        because="A mapping is named by an id that Lambda gives; the function is a condition",
    )
