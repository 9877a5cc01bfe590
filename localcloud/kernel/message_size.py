"""The size of a message as SQS and SNS measure it: the body, and the names, types and values of the attributes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def size_of(body: str, attributes: Mapping[str, Mapping[str, Any]] | None) -> int:
    """The bytes of the message. `attributes` is for example `{"n": {"DataType": "Number", "StringValue": "1"}}`."""
    return _bytes(body) + sum(
        _bytes(name) + sum(map(_bytes, attribute.values())) for name, attribute in (attributes or {}).items()
    )


def _bytes(value: Any) -> int:
    return len(value) if isinstance(value, bytes) else len(str(value).encode())
