"""Polls queues for event source mappings: batches, windows, partial failures, dead letters.

moto loses a message that is sent while another one is deleted, and gives one message to two receivers at once. A lock
for each queue prevents both. Visibility, delays, long polls and retention follow the cloud's clock.

    one thread for each mapping   receives a batch, counts it in `_busy`, starts a thread for it
    one thread for each batch     calls the function, deletes what it has done, takes the batch out of `_busy`
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial
from importlib import import_module
from typing import Any

from localcloud.awslambda.event_sources import EventSource, EventSources, call, is_wanted, polling
from localcloud.cloudwatch.metrics import put
from localcloud.iam.policies import Request
from localcloud.kernel.cloud import Cloud, moto_backend
from localcloud.kernel.message_size import size_of
from localcloud.kernel.patching import replace
from localcloud.kernel.quotas import quota

LOG = logging.getLogger(__name__)
POLLERS = 4
"""The most batches of one event source under way at once, unless MaximumConcurrency says less."""
RECEIVED = quota("sqs", "received")
"""The most messages that a poller receives at once."""
MOST_BYTES = quota("lambda", "event")
"""Bytes of the payload of a call at most. A batch ends before its payload would be too large.

https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html"""
POLL_S = 0.5
"""The longest wait of an idle poller, in real seconds.

A message whose visibility timeout ends becomes visible without a notification."""


def poll_event_sources(cloud: Cloud) -> None:
    """Make queues event sources of functions, and look at them after each move of the clock."""
    models: Any = import_module("moto.sqs.models")
    # Inside SendMessage moto's queues call the functions that are listed here. The list stays empty: our pollers call.
    # May go when moto polls its queues.
    replace(models.Queue, lambda_event_source_mappings=property(lambda _: {}, lambda *_: None))
    _remember_what_was_not_taken(models.Queue)
    _lock_queues(cloud, models)
    cloud.part(EventSources)["sqs"] = EventSource(
        name="SQS",
        rights=_rights,
        start=lambda backend, mapping: cloud.loop(
            f"poll-{mapping.function_name}", Pollers(cloud, backend, mapping).poll
        ),
        refused=frozenset({"FilterCriteria"}),
    )
    cloud.clock.on_move(lambda _before, _after: _wake_all(cloud))
    cloud.at_stop(lambda: _wake_all(cloud))


def pending(cloud: Cloud) -> list[str]:
    """The queues with an enabled event source that still hold messages, as `3 messages in QUEUE`.

    Visible messages count, and those in flight and delayed ones too."""
    return [f"{count} messages in {name}" for name, count in _left(cloud, retries=False)]


def retries(cloud: Cloud) -> list[str]:
    """The queues with messages that their function did not take, and that are hidden until the next try."""
    return [
        f"{count} messages in {name}, which were not taken and come again" for name, count in _left(cloud, retries=True)
    ]


def _left(cloud: Cloud, *, retries: bool) -> Iterator[tuple[str, int]]:
    """Each queue with an enabled event source, and how many messages it holds that are (or are not) retries to come."""
    for queue in {id(queue): queue for mapping, queue in _sources(cloud) if mapping.enabled}.values():
        if count := sum((one.id in queue.not_taken and not one.visible) is retries for one in list(queue._messages)):
            yield queue.name, count


def _remember_what_was_not_taken(kind: Any) -> None:
    """Give each queue of moto's class the ids of the messages that their function did not take at the last try."""
    initialise = kind.__init__

    def start(self: Any, *given: Any, **named: Any) -> None:
        self.not_taken = set[str]()
        initialise(self, *given, **named)

    replace(kind, __init__=start)


def _sources(cloud: Cloud) -> list[tuple[Any, Any]]:
    """Each event source mapping of a queue, with the queue."""
    mappings = list(moto_backend("lambda", cloud.region)._event_source_mappings.values())
    found = [(mapping, _queue(cloud, mapping)) for mapping in mappings]
    return [(mapping, queue) for mapping, queue in found if queue is not None]


def _queue(cloud: Cloud, mapping: Any) -> Any:
    """The queue of the mapping; None if its source is no queue, or if the queue does not exist."""
    if mapping.event_source_arn.split(":")[2] != "sqs":
        return None
    return moto_backend("sqs", cloud.region).queues.get(mapping.event_source_arn.rsplit(":", 1)[1])


def _wake_all(cloud: Cloud) -> None:
    """Wake everybody who waits for messages: at a move of the clock, and when the cloud stops."""
    for queue in list(moto_backend("sqs", cloud.region).queues.values()):
        with queue._messages_lock:
            queue._messages_lock.notify_all()


def _lock_queues(cloud: Cloud, models: Any) -> None:
    """Let receivers and deleters hold the lock of the queue, which moto takes for sending only.

    May go when moto receives and deletes under `_messages_lock`, but the waits by the cloud's clock stay ours."""
    backend, delete = models.SQSBackend, models.Queue.delete_message
    receive, change = backend.receive_message, backend.change_message_visibility

    def receive_message(
        self: Any,
        queue_name: str,
        count: int,
        wait_seconds_timeout: int,
        visibility_timeout: int,
        message_attribute_names: list[str] | None = None,
    ) -> list[Any]:
        queue = self.get_queue(queue_name)
        # A long poll. The lock is a condition that a new message, a changed visibility and a move of the clock notify.
        # No wait is longer than POLL_S: visibility ends by the clock, and nothing notifies while it only runs.
        lock = queue._messages_lock
        until = models.unix_time() + float(wait_seconds_timeout or 0)
        with lock:
            while True:
                _drop_expired(queue, models.unix_time())
                # moto itself does not wait (0): this loop does, and it ends when the cloud stops.
                found: list[Any] = receive(self, queue_name, count, 0, visibility_timeout, message_attribute_names)
                left_s = until - models.unix_time()
                if found or left_s <= 0 or cloud.stopping.is_set():
                    return found
                lock.wait(min(left_s, POLL_S))

    def change_message_visibility(self: Any, queue_name: str, receipt_handle: str, visibility_timeout: int) -> None:
        queue = self.get_queue(queue_name)
        lock = queue._messages_lock
        with lock:
            held = next((one for one in queue._messages if one.had_receipt_handle(receipt_handle)), None)
            if held and int(visibility_timeout) == 0:
                # moto counts the limit of 12 hours from the sending, and refuses to give back what is older.
                held.change_visibility(0)
                queue.pending_messages.discard(held)
            else:
                change(self, queue_name, receipt_handle, visibility_timeout)
            lock.notify_all()

    def delete_message(self: Any, receipt_handle: str) -> None:
        with self._messages_lock:
            delete(self, receipt_handle)
        # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
        put(cloud, "AWS/SQS", "NumberOfMessagesDeleted", 1, dimensions={"QueueName": self.name})

    replace(backend, receive_message=receive_message, change_message_visibility=change_message_visibility)
    # moto would count all messages of the queue for each that it receives, to learn its retention: of 2,000 it took ten
    # minutes. What is older has just been dropped. And it asks for the time several times for each message.
    replace(backend, is_message_valid_based_on_retention_period=lambda *_: True)
    replace(models, unix_time_millis=lambda: time.time() * 1000)
    replace(models.Queue, delete_message=delete_message)


def _drop_expired(queue: Any, now: float) -> None:
    """Drop the messages that are older than the queue's retention. moto hands none of them out, but keeps them.

    The caller holds the queue's lock; `now` is in seconds since the epoch."""
    oldest = (now - float(queue.message_retention_period)) * 1000
    queue._messages = [message for message in queue._messages if message.sent_timestamp > oldest]


def _rights(arn: str) -> Iterator[Request]:
    """Yields what the poller of the queue does in the name of the function's role."""
    from localcloud.iam.required_permissions.messaging import queue_permissions

    for verb in ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes"):
        yield from queue_permissions(f"sqs:{verb}", arn.rpartition(":")[2])


class Pollers:
    """The pollers of one event source mapping. They end when the mapping is deleted or the cloud stops."""

    def __init__(self, cloud: Cloud, backend: Any, mapping: Any) -> None:
        self._cloud = cloud
        self._backend = backend
        self._mapping = mapping
        self._busy = 0
        """How many batches are under way."""
        self._changed = threading.Condition()
        """Guards `_busy`, and is notified when a batch has ended."""

    def poll(self) -> None:
        """Receive batches, and give each to a thread of its own; so many at once as are allowed."""
        from moto.sqs.exceptions import QueueDoesNotExist

        # Only this thread receives for the mapping. What it has received is invisible to all others, so the thread that
        # runs the batch needs no lock on the queue. `_busy` is raised before that thread starts.
        while is_wanted(self._cloud, self._backend, self._mapping):
            queue = _queue(self._cloud, self._mapping)
            if queue is None or not self._mapping.enabled or not self._has_room():
                self._cloud.stopping.wait(POLL_S)
                continue
            try:
                with polling(self._mapping) as is_enabled:
                    batch = self._receive(queue) if is_enabled else []
            except QueueDoesNotExist:
                # The queue was deleted since it was looked up. Its mapping is deleted too, or waits for a new queue of
                # this name.
                continue
            if batch:
                with self._changed:
                    self._busy += 1
                self._cloud.background(f"batch-{queue.name}", partial(self._run, queue, batch))

    def _has_room(self) -> bool:
        """Wait up to POLL_S until another batch may begin, and return whether it may."""
        limit = int((self._mapping.scaling_config or {}).get("MaximumConcurrency", POLLERS))
        with self._changed:
            return self._changed.wait_for(lambda: self._busy < min(limit, POLLERS), timeout=POLL_S)

    def _receive(self, queue: Any) -> list[Any]:
        """One batch, empty if there is no message. A window of the mapping is waited for after the first message."""
        backend = moto_backend("sqs", self._cloud.region)
        size = int(self._mapping.batch_size)
        # The wait ends when SendMessage notifies, or when the next message becomes visible by the clock.
        with queue._messages_lock:
            if not queue.messages:
                queue._messages_lock.wait(_until_next(queue, self._cloud.clock.timestamp()))
        batch, length = list[Any](), 0
        until = time.monotonic() + float(self._mapping.max_batch_window or 0)
        # Ten at a time, fewer where ten might be too many bytes for one call.
        while not self._cloud.stopping.is_set():
            asked = min(RECEIVED, size - len(batch), (MOST_BYTES - length) // queue.maximum_message_size)
            if asked <= 0:
                break
            more = backend.receive_message(queue.name, asked, 0, queue.visibility_timeout, ["All"])
            batch += more
            length += sum(len(json.dumps(_record(queue, one, self._cloud.region))) for one in more)
            if not more and not (batch and self._is_more(queue, until)):
                break
        return batch

    def _is_more(self, queue: Any, until: float) -> bool:
        """Whether the window (real seconds) is open still, once a message has come or some time has passed."""
        if (left_s := until - time.monotonic()) <= 0:
            return False
        with queue._messages_lock:
            if not queue.messages:
                queue._messages_lock.wait(min(left_s, POLL_S))
        return True

    def _run(self, queue: Any, batch: list[Any]) -> None:
        try:
            # A message that failed is not given back: as on AWS it stays invisible for the rest of its timeout. moto
            # moves it to the dead letters when it is received once too often.
            queue.not_taken -= {message.id for message in batch}
            ids = [message.id for message in batch]
            records = [_record(queue, message, self._cloud.region) for message in batch]
            failed = call(self._cloud, self._mapping, records, ids)
            failed = {*ids} if failed is None else failed
            queue.not_taken |= failed
            for message in batch:
                if message.id not in failed:
                    _delete(queue, message)
        except Exception:
            if not self._cloud.stopping.is_set():
                LOG.exception("event source %s of %s", queue.name, self._mapping.function_name)
        finally:
            with self._changed:
                self._busy -= 1
                self._changed.notify_all()


def _delete(queue: Any, message: Any) -> None:
    from moto.sqs.exceptions import ReceiptHandleIsInvalid

    # The function may have taken longer than the visibility timeout, and another receiver has deleted or moved it.
    with suppress(ReceiptHandleIsInvalid):
        queue.delete_message(message.receipt_handle)


def _until_next(queue: Any, now: float) -> float:
    """Seconds until the next message that is in flight or delayed becomes visible, at most `POLL_S`.

    `now` is in seconds since the epoch. One more millisecond makes sure that the message is visible then."""
    times = [max(message.visible_at, message.delayed_until) / 1000 - now for message in queue._messages]
    return float(min([max(0.001, left_s + 0.001) for left_s in times] + [POLL_S]))


def _record(queue: Any, message: Any, region: str) -> dict[str, Any]:
    """The message as a record of the event that the function gets."""
    attributes = {
        "ApproximateReceiveCount": str(message.approximate_receive_count),
        "SentTimestamp": str(message.sent_timestamp),
        "SenderId": message.sender_id,
        "ApproximateFirstReceiveTimestamp": str(message.approximate_first_receive_timestamp),
    }
    return {
        "messageId": message.id,
        "receiptHandle": message.receipt_handle,
        "body": message.body,
        "attributes": attributes,
        "messageAttributes": {name: _attribute(value) for name, value in message.message_attributes.items()},
        "md5OfBody": message.body_md5,
        "eventSource": "aws:sqs",
        "eventSourceARN": queue.queue_arn,
        "awsRegion": region,
    }


def _attribute(value: Mapping[str, Any]) -> dict[str, Any]:
    kind = {"dataType": value.get("DataType") or value.get("data_type")}
    text = value.get("StringValue") or value.get("string_value")
    return {"stringValue": text, **kind, "stringListValues": [], "binaryListValues": []} if text is not None else kind


LIMIT_BYTES = quota("sqs", "batch")
"""The most bytes of a batch. The limit of a message is its queue's MaximumMessageSize, which is this at most."""


def limit_messages() -> None:
    """Let SendMessage and SendMessageBatch refuse what is too large. May go when moto counts bytes as AWS does."""
    backend: Any = import_module("moto.sqs.models").SQSBackend
    errors: Any = import_module("moto.sqs.exceptions")
    send, send_batch = backend.send_message, backend.send_message_batch

    def send_message(
        self: Any, queue_name: str, message_body: str, message_attributes: Any = None, *given: Any, **named: Any
    ) -> Any:
        limit = self.get_queue(queue_name).maximum_message_size
        if size_of(message_body, message_attributes) > limit:
            reason = f"Message must be shorter than {limit} bytes."
            raise errors.InvalidParameterValue(f"One or more parameters are invalid. Reason: {reason}")
        return send(self, queue_name, message_body, message_attributes, *given, **named)

    def send_message_batch(self: Any, queue_name: str, entries: dict[str, dict[str, Any]]) -> Any:
        size = sum(size_of(entry["MessageBody"], entry["MessageAttributes"]) for entry in entries.values())
        if size > LIMIT_BYTES:
            raise errors.BatchRequestTooLong(size)
        return send_batch(self, queue_name, entries)

    replace(backend, send_message=send_message, send_message_batch=send_message_batch)
