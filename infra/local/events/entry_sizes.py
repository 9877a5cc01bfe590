"""Limits the size of all entries of a PutEvents together. moto takes entries of any size.

https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from infra.local.kernel.patching import replace

LIMIT_BYTES = 1_048_576
"""The most bytes of all entries of one request: 1 MiB."""
TIME_BYTES = 14
"""The bytes that EventBridge counts for an entry's time.
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevent-size.html"""


def limit_entries() -> None:
    """Let PutEvents refuse entries that are too large together. May go when moto counts bytes as AWS does."""
    backend: Any = import_module("moto.events.models").EventsBackend
    error: Any = import_module("moto.events.exceptions").ValidationException
    put = backend.put_events

    def put_events(self: Any, events: list[dict[str, Any]]) -> Any:
        if sum(map(size_of, events)) > LIMIT_BYTES:
            raise error("Total size of the entries in the request is over the limit.")
        return put(self, events)

    replace(backend, put_events=put_events)


def size_of(entry: Mapping[str, Any]) -> int:
    """The bytes of one entry, as EventBridge counts them."""
    texts = [*(entry.get(key) or "" for key in ("Source", "DetailType", "Detail")), *(entry.get("Resources") or ())]
    return sum(len(text.encode()) for text in texts) + (TIME_BYTES if entry.get("Time") else 0)
