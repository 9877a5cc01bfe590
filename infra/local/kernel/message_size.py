"""The size of a message as SQS and SNS measure it: its body, and names, types and values of its attributes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def size_of(body: str, attributes: Mapping[str, Mapping[str, Any]] | None) -> int:
    """Bytes of the message."""
    return _bytes(body) + sum(
        _bytes(name) + sum(map(_bytes, attribute.values())) for name, attribute in (attributes or {}).items()
    )


def _bytes(value: Any) -> int:
    return len(value) if isinstance(value, bytes) else len(str(value).encode())
