"""Limits the size of a notification in bytes, with its attributes. moto counts the characters of its text.

A topic takes 256 KiB. On AWS its attribute MaximumMessageSize may raise that; moto does not know the attribute.
https://docs.aws.amazon.com/sns/latest/dg/large-message-payloads.html"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from infra.local.kernel.message_size import size_of
from infra.local.kernel.patching import replace

LIMIT_BYTES = 262_144
"""256 KiB."""


def limit_messages() -> None:
    """Let Publish refuse a notification that is too large. May go when moto counts bytes as AWS does."""
    backend: Any = import_module("moto.sns.models").SNSBackend
    error: Any = import_module("moto.sns.exceptions").InvalidParameterValue
    publish = backend.publish

    def limited(self: Any, message: str, *given: Any, message_attributes: Any = None, **named: Any) -> Any:
        if size_of(message, message_attributes) > LIMIT_BYTES:
            raise error("Invalid parameter: Message too long")
        return publish(self, message, *given, message_attributes=message_attributes, **named)

    replace(backend, publish=limited)
