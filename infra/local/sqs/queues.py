"""Poll queues for event source mappings: batches, windows, partial failures, dead letters.

moto loses a message that is sent while another is deleted and hands one message to two receivers at once; a lock per
queue prevents both. Visibility, delays, long polls and retention follow the cloud's clock."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterator, Mapping
from functools import partial
from importlib import import_module
from typing import Any

from infra.local.awslambda.event_sources import EventSource, EventSources, is_wanted, polling
from infra.local.iam.policies import Request
from infra.local.kernel.cloud import ACCOUNT, Cloud
from infra.local.kernel.patching import replace

LOG = logging.getLogger(__name__)
POLLERS = 4
"""Batches of one event source under way at once, where MaximumConcurrency does not say less."""
POLL_S = 0.5
"""Longest wait of an idle poller: a message whose visibility timeout ends becomes visible without a notification."""


def poll_event_sources(cloud: Cloud) -> None:
    models: Any = import_module("moto.sqs.models")
    replace(models, unix_time=cloud.clock.timestamp, unix_time_millis=lambda: cloud.clock.timestamp() * 1000)
    # moto's queues call the functions listed here, inside SendMessage; nothing is ever listed.
    replace(models.Queue, lambda_event_source_mappings=property(lambda _: {}, lambda *_: None))
    _lock_queues(cloud, models)
    cloud.part(EventSources)["sqs"] = EventSource(
        name="SQS",
        rights=_rights,
        start=lambda backend, mapping: Pollers(cloud, backend, mapping).start(),
        refused=frozenset({"FilterCriteria"}),
    )
    cloud.clock.on_move(lambda _before, _after: _wake_all(cloud))
    cloud.at_stop(lambda: _wake_all(cloud))


def pending(cloud: Cloud) -> list[str]:
    """The queues with an enabled event source that still hold messages, visible or in flight."""
    return [
        f"{len(queue._messages)} messages in {queue.name}"
        for queue in {id(queue): queue for mapping, queue in _sources(cloud) if mapping.enabled}.values()
        if queue._messages
    ]


def _sources(cloud: Cloud) -> list[tuple[Any, Any]]:
    from moto.awslambda.models import lambda_backends

    mappings = list(lambda_backends[ACCOUNT][cloud.region]._event_source_mappings.values())
    found = [(mapping, _queue(cloud, mapping)) for mapping in mappings]
    return [(mapping, queue) for mapping, queue in found if queue is not None]


def _queue(cloud: Cloud, mapping: Any) -> Any:
    from moto.sqs.models import sqs_backends

    if mapping.event_source_arn.split(":")[2] != "sqs":
        return None
    return sqs_backends[ACCOUNT][cloud.region].queues.get(mapping.event_source_arn.rsplit(":", 1)[1])


def _wake_all(cloud: Cloud) -> None:
    from moto.sqs.models import sqs_backends

    for queue in list(sqs_backends[ACCOUNT][cloud.region].queues.values()):
        with queue._messages_lock:
            queue._messages_lock.notify_all()


def _lock_queues(cloud: Cloud, models: Any) -> None:
    receive, change, delete = (
        models.SQSBackend.receive_message,
        models.SQSBackend.change_message_visibility,
        models.Queue.delete_message,
    )

    def receive_message(
        self: Any,
        queue_name: str,
        count: int,
        wait_seconds_timeout: int,
        visibility_timeout: int,
        message_attribute_names: list[str] | None = None,
    ) -> list[Any]:
        queue = self.get_queue(queue_name)
        # A long poll: the lock is a condition that send, change and delete notify. Waits are cut into POLL_S, since
        # visibility ends by the cloud's clock, which nothing notifies while it only runs.
        lock = queue._messages_lock
        until = models.unix_time() + float(wait_seconds_timeout or 0)
        with lock:
            while True:
                _drop_expired(queue, models.unix_time())
                found: list[Any] = receive(self, queue_name, count, 0, visibility_timeout, message_attribute_names)
                left_s = until - models.unix_time()
                if found or left_s <= 0 or cloud.stopping.is_set():
                    return found
                lock.wait(min(left_s, POLL_S))

    def change_message_visibility(self: Any, queue_name: str, receipt_handle: str, visibility_timeout: int) -> None:
        lock = self.get_queue(queue_name)._messages_lock
        with lock:
            change(self, queue_name, receipt_handle, visibility_timeout)
            lock.notify_all()

    def delete_message(self: Any, receipt_handle: str) -> None:
        with self._messages_lock:
            delete(self, receipt_handle)

    replace(models.SQSBackend, receive_message=receive_message, change_message_visibility=change_message_visibility)
    replace(models.Queue, delete_message=delete_message)


def _drop_expired(queue: Any, now: float) -> None:
    """moto hands out no message that is older than the queue's retention, but keeps it for ever."""
    oldest = (now - float(queue.message_retention_period)) * 1000
    queue._messages = [message for message in queue._messages if message.sent_timestamp > oldest]


def _rights(arn: str) -> Iterator[Request]:
    from infra.local.iam.required_permissions.messaging import queue_permissions

    for verb in ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes"):
        yield from queue_permissions(f"sqs:{verb}", arn.rpartition(":")[2])


class Pollers:
    """The pollers of one event source mapping; they end when the mapping is deleted."""

    def __init__(self, cloud: Cloud, backend: Any, mapping: Any) -> None:
        self._cloud = cloud
        self._backend = backend
        self._mapping = mapping
        self._busy = 0
        self._changed = threading.Condition()

    def start(self) -> None:
        self._cloud.background(f"poll-{self._mapping.function_name}", self._poll)

    def _poll(self) -> None:
        """Receives batches and gives each to a thread of its own, as many at once as are allowed."""
        from moto.sqs.exceptions import QueueDoesNotExist

        # This thread alone receives for the mapping; what it has received is invisible to all others, so the thread
        # that runs the batch needs no lock on the queue. `_busy` is raised before that thread starts.
        while is_wanted(self._cloud, self._backend, self._mapping):
            queue = _queue(self._cloud, self._mapping)
            if queue is None or not self._mapping.enabled or not self._has_room():
                self._cloud.stopping.wait(POLL_S)
                continue
            try:
                with polling(self._mapping) as is_enabled:
                    batch = self._receive(queue) if is_enabled else []
            except QueueDoesNotExist:
                # Deleted since it was looked up; its mapping goes with the stack, or waits for another of the name.
                continue
            if batch:
                with self._changed:
                    self._busy += 1
                self._cloud.background(f"batch-{queue.name}", partial(self._run, queue, batch))

    def _has_room(self) -> bool:
        limit = int((self._mapping.scaling_config or {}).get("MaximumConcurrency", POLLERS))
        with self._changed:
            return self._changed.wait_for(lambda: self._busy < min(limit, POLLERS), timeout=POLL_S)

    def _receive(self, queue: Any) -> list[Any]:
        """One batch; with a window, what arrives within it after the first message (real seconds)."""
        from moto.sqs.models import sqs_backends

        backend = sqs_backends[ACCOUNT][self._cloud.region]
        size = int(self._mapping.batch_size)
        # The wait ends by SendMessage's notification, or when the next message becomes visible again by the clock.
        with queue._messages_lock:
            if not queue.messages:
                queue._messages_lock.wait(_until_next(queue, self._cloud.clock.timestamp()))
        batch: list[Any] = backend.receive_message(queue.name, size, 0, queue.visibility_timeout, ["All"])
        window_s = float(self._mapping.max_batch_window or 0)
        if batch and window_s:
            self._fill(queue, backend, batch, size, window_s)
        return batch

    def _fill(self, queue: Any, backend: Any, batch: list[Any], size: int, window_s: float) -> None:
        until = time.monotonic() + window_s
        while len(batch) < size and (left_s := until - time.monotonic()) > 0 and not self._cloud.stopping.is_set():
            with queue._messages_lock:
                if not queue.messages:
                    queue._messages_lock.wait(min(left_s, POLL_S))
            missing = size - len(batch)
            batch += backend.receive_message(queue.name, missing, 0, queue.visibility_timeout, ["All"])

    def _run(self, queue: Any, batch: list[Any]) -> None:
        try:
            # What failed is not given back: it stays invisible for the rest of its timeout, as on AWS, and moto moves
            # it to the dead letters when it is received once too often.
            failed = self._invoke(queue, batch)
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

    def _invoke(self, queue: Any, batch: list[Any]) -> set[str]:
        """The ids of the messages that the function did not do; they stay in the queue."""
        from infra.local.awslambda.functions import function_of
        from infra.local.awslambda.pools import Functions

        functions: Functions = self._cloud.parts[Functions]
        records = [_record(queue, message, self._cloud.region) for message in batch]
        function = function_of(self._cloud, self._mapping.function_arn)
        outcome = functions.invoke(function, json.dumps({"Records": records}).encode())
        everything = {message.id for message in batch}
        if outcome.error:
            return everything
        if "ReportBatchItemFailures" not in (self._mapping.function_response_types or []):
            return set()
        return _reported(json.loads(outcome.payload), everything)


def _reported(answer: Any, everything: set[str]) -> set[str]:
    """What the answer names; all of the batch when an id is empty or unknown, or the answer is malformed, as on AWS."""
    if answer is None or answer == {}:
        return set()
    failures = answer.get("batchItemFailures") if isinstance(answer, Mapping) else ()
    # An empty list and null mean success; an answer of the wrong shape fails the whole batch, so that nothing is lost.
    if failures is None:
        return set()
    if not isinstance(failures, list):
        return everything
    named = {str(item.get("itemIdentifier")) for item in failures if isinstance(item, Mapping)}
    return named if named <= everything else everything


def _delete(queue: Any, message: Any) -> None:
    from moto.sqs.exceptions import ReceiptHandleIsInvalid

    try:
        queue.delete_message(message.receipt_handle)
    except ReceiptHandleIsInvalid:
        # It took longer than the visibility timeout, and another one has deleted the message or moved it.
        return


def _until_next(queue: Any, now: float) -> float:
    """Seconds until the next message in flight or delayed can be seen, at most `POLL_S`."""
    times = [max(message.visible_at, message.delayed_until) / 1000 - now for message in queue._messages]
    return float(min([max(0.001, left_s + 0.001) for left_s in times] + [POLL_S]))


def _record(queue: Any, message: Any, region: str) -> dict[str, Any]:
    attributes = {
        "ApproximateReceiveCount": str(message.approximate_receive_count),
        "SentTimestamp": str(message.sent_timestamp),
        "SenderId": message.sender_id,
        "ApproximateFirstReceiveTimestamp": str(message.approximate_first_receive_timestamp),
    }
    if queue.fifo_queue:
        attributes |= {
            "MessageGroupId": message.group_id,
            "MessageDeduplicationId": message.deduplication_id,
            "SequenceNumber": message.sequence_number or "",
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
