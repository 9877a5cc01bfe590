"""Let one thread at a time test a condition and write."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import wraps
from importlib import import_module
from typing import Any

from infra.local.kernel.patching import replace

WRITES = ("put_item", "update_item", "delete_item", "transact_write_items")


def make_writes_atomic() -> None:
    backend: Any = import_module("moto.dynamodb.models").DynamoDBBackend
    # One lock for all tables, since a transaction writes several; it may be entered again, as a transaction puts items.
    writing = threading.RLock()

    def alone(write: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(write)
        def locked(*given: Any, **named: Any) -> Any:
            with writing:
                return write(*given, **named)

        return locked

    replace(backend, **{name: alone(getattr(backend, name)) for name in WRITES})
