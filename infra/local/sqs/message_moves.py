"""StartMessageMoveTask: dead letters go back to the queue that they came from, or to another.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_StartMessageMoveTask.html
The messages are moved before the answer; AWS moves them in the background, up to 500 a second."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from infra.local.kernel.cloud import ACCOUNT, Cloud
from infra.local.kernel.patching import replace


@dataclass(kw_only=True)
class Moves:
    """The tasks of all queues, by the queue's ARN, oldest first."""

    by_source: dict[str, list[dict[str, Any]]] = field(default_factory=dict)


def move_dead_letters(cloud: Cloud) -> None:
    responses: Any = import_module("moto.sqs.responses").SQSResponse
    action: Any = import_module("moto.core.responses").ActionResult

    def start_message_move_task(self: Any) -> Any:
        source, to = self._get_param("SourceArn"), self._get_param("DestinationArn")
        return action({"TaskHandle": _move(cloud, source, to)["TaskHandle"]})

    def list_message_move_tasks(self: Any) -> Any:
        tasks = cloud.part(Moves).by_source.get(self._get_param("SourceArn"), [])
        # The newest first; one of them, unless more are wanted.
        return action({"Results": tasks[::-1][: int(self._get_param("MaxResults") or 1)]})

    replace(responses, start_message_move_task=start_message_move_task, list_message_move_tasks=list_message_move_tasks)


def _move(cloud: Cloud, source_arn: str, destination_arn: str | None) -> dict[str, Any]:
    exceptions: Any = import_module("moto.sqs.exceptions")
    models: Any = import_module("moto.sqs.models")
    queues = models.sqs_backends[ACCOUNT][cloud.region].queues
    source = queues.get(source_arn.rpartition(":")[2])
    fed_by = [queue for queue in queues.values() if _dead_letter_target(queue) == source_arn]
    if source is None:
        raise exceptions.QueueDoesNotExist
    if not fed_by:
        raise exceptions.InvalidParameterValue("Source queue must be configured as a Dead Letter Queue.")
    target = queues.get((destination_arn or fed_by[0].queue_arn).rpartition(":")[2])
    if target is None:
        raise exceptions.QueueDoesNotExist
    moved = _take(source)
    for message in moved:
        # As a new message: its receives count from none, and its visibility is the queue's own.
        again = models.Message(message.id, message.body, message.system_attributes)
        again.message_attributes = message.message_attributes
        again.mark_sent()
        target.add_message(again)
    task = {
        "TaskHandle": str(uuid.uuid4()),
        "Status": "COMPLETED",
        "SourceArn": source_arn,
        "ApproximateNumberOfMessagesMoved": len(moved),
        "ApproximateNumberOfMessagesToMove": len(moved),
        "StartedTimestamp": int(cloud.clock.timestamp() * 1000),
        **({"DestinationArn": destination_arn} if destination_arn else {}),
    }
    cloud.part(Moves).by_source.setdefault(source_arn, []).append(task)
    return task


def _take(queue: Any) -> list[Any]:
    """All messages that can be seen, out of the queue; one that somebody has received stays, as on AWS."""
    with queue._messages_lock:
        taken = list(queue.messages)
        queue._messages = [message for message in queue._messages if message not in taken]
    return taken


def _dead_letter_target(queue: Any) -> str:
    policy = queue.redrive_policy or {}
    found = json.loads(policy) if isinstance(policy, str) else policy
    return str(found.get("deadLetterTargetArn", ""))
