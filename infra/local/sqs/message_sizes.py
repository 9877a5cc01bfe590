"""Limits the size of a message, and of all messages of a batch, in bytes and with attributes.

moto counts the characters of the bodies.
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from infra.local.kernel.message_size import size_of
from infra.local.kernel.patching import replace

LIMIT_BYTES = 1_048_576
"""The most bytes of a batch: 1 MiB. The limit of a message is its queue's MaximumMessageSize, which is this at most."""


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
