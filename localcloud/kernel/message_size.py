"""The attributes of a message, and its size as SQS and SNS measure it: body, names, types and values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def size_of(body: str, attributes: Mapping[str, Mapping[str, Any]] | None) -> int:
    """The bytes of the message. `attributes` is for example `{"n": {"DataType": "Number", "StringValue": "1"}}`."""
    return _bytes(body) + sum(
        _bytes(name) + sum(map(_bytes, attribute.values())) for name, attribute in (attributes or {}).items()
    )


def attributes_of(given: Mapping[str, str | int]) -> dict[str, dict[str, str]]:
    """The attributes as a call has them."""
    return {
        key: {"DataType": "Number" if isinstance(value, int) else "String", "StringValue": str(value)}
        for key, value in given.items()
    }


def _bytes(value: Any) -> int:
    return len(value) if isinstance(value, bytes) else len(str(value).encode())
