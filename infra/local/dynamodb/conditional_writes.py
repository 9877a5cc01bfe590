"""Lets one thread at a time test a condition and write, or read."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import wraps
from importlib import import_module
from typing import Any

from infra.local.kernel.patching import replace

WRITES = ("put_item", "update_item", "delete_item", "transact_write_items")
READS = ("get_item", "query", "scan")
"""Reads take the lock too.

moto's transaction copies its tables before it writes, and a read of a key that does not exist adds an entry to them."""


def make_writes_atomic() -> None:
    """Make the test and the write of a conditional write one step. May go when moto holds a lock for both."""
    backend: Any = import_module("moto.dynamodb.models").DynamoDBBackend
    # One lock for all tables, since a transaction writes several of them. Its holder may take it again: a transaction
    # puts items by the same methods.
    turn = threading.RLock()

    def alone(call: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(call)
        def locked(*given: Any, **named: Any) -> Any:
            with turn:
                return call(*given, **named)

        return locked

    replace(backend, **{name: alone(getattr(backend, name)) for name in (*WRITES, *READS)})
