"""Let one thread at a time test a condition and write, or read."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import wraps
from importlib import import_module
from typing import Any

from infra.local.kernel.patching import replace

WRITES = ("put_item", "update_item", "delete_item", "transact_write_items")
READS = ("get_item", "query", "scan")
"""moto's transaction copies its tables before it writes; a read of a key that is not there adds an entry to them."""


def make_writes_atomic() -> None:
    backend: Any = import_module("moto.dynamodb.models").DynamoDBBackend
    # One lock for all tables, since a transaction writes several; it may be entered again, as a transaction puts items.
    turn = threading.RLock()

    def alone(call: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(call)
        def locked(*given: Any, **named: Any) -> Any:
            with turn:
                return call(*given, **named)

        return locked

    replace(backend, **{name: alone(getattr(backend, name)) for name in (*WRITES, *READS)})
