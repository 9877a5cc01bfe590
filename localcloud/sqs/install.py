"""Amazon SQS: queues, and functions that they feed.

AWS does: poll a queue with several pollers, delete the messages that the function has done, move those that failed too
    often to the dead-letter queue.
moto does: call the function inside SendMessage, once and with one message; lose messages while others are deleted.
We do: poll with threads, by the cloud's clock. A lock for each queue ends the races. Dead letters can be moved back.
Weaker: at most four batches of an event source at once. No message filters. Batching windows are real seconds.
    Metrics are NumberOfMessagesDeleted, and the gauges of queues with an alarm.
"""

from __future__ import annotations

import json
import uuid
from functools import partial
from importlib import import_module
from typing import Any

from localcloud.kernel.cloud import Cloud, moto_backend
from localcloud.kernel.patching import replace
from localcloud.sqs.queues import limit_messages, pending, poll_event_sources, retries

# StartMessageMoveTask: moves dead letters back to the queue from which they came, or to another one.
#
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_StartMessageMoveTask.html
# moto lacks the operation. Here the messages are moved before the answer; AWS moves them in the background, up to 500 a
# second.


def move_dead_letters(cloud: Cloud) -> None:
    """Answer StartMessageMoveTask. May go when moto answers it."""
    responses: Any = import_module("moto.sqs.responses").SQSResponse
    action: Any = import_module("moto.core.responses").ActionResult

    def start_message_move_task(self: Any) -> Any:
        _move(cloud, self._get_param("SourceArn"), self._get_param("DestinationArn"))
        return action({"TaskHandle": str(uuid.uuid4())})

    replace(responses, start_message_move_task=start_message_move_task)


def _move(cloud: Cloud, source_arn: str, destination_arn: str | None) -> None:
    """Move all visible messages of the queue.

    Without a destination they go to the first queue whose dead letters come here. Raises moto's errors, as AWS does, if
    a queue does not exist or the source is no dead-letter queue."""
    exceptions: Any = import_module("moto.sqs.exceptions")
    models: Any = import_module("moto.sqs.models")
    queues = moto_backend("sqs", cloud.region).queues
    source = queues.get(source_arn.rpartition(":")[2])
    fed_by = [queue for queue in list(queues.values()) if _dead_letter_target(queue) == source_arn]
    if source is None:
        raise exceptions.QueueDoesNotExist
    if not fed_by:
        raise exceptions.InvalidParameterValue("Source queue must be configured as a Dead Letter Queue.")
    target = queues.get((destination_arn or fed_by[0].queue_arn).rpartition(":")[2])
    if target is None:
        raise exceptions.QueueDoesNotExist
    for message in _take(source):
        # It is sent as a new message: its receives are counted from 0, and its visibility is that of the new queue.
        again = models.Message(message.id, message.body, message.system_attributes)
        again.message_attributes = message.message_attributes
        again.mark_sent()
        target.add_message(again)


def _take(queue: Any) -> list[Any]:
    """Take all visible messages out of the queue and return them.

    A message that somebody has received and not deleted stays, as on AWS."""
    # Both steps under the lock of moto's queue, under which messages are sent, received and deleted.
    with queue._messages_lock:
        taken = list(queue.messages)
        queue._messages = [message for message in queue._messages if message not in taken]
    return taken


def _dead_letter_target(queue: Any) -> str:
    """The ARN of the queue's dead-letter queue; empty without one."""
    policy = queue.redrive_policy or {}
    found = json.loads(policy) if isinstance(policy, str) else policy
    return str(found.get("deadLetterTargetArn", ""))


def install(cloud: Cloud) -> None:
    poll_event_sources(cloud)
    limit_messages()
    move_dead_letters(cloud)
    cloud.pending.append(partial(pending, cloud))
    cloud.retries.append(partial(retries, cloud))
