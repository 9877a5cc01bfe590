"""Waiting for what the cloud does in its own time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

LIMIT_S = 300.0
"""Only what never comes reaches it: a busy machine may take minutes to start an endpoint."""

Found = TypeVar("Found")


def until(condition: Callable[[], Found], limit_s: float = LIMIT_S) -> Found:
    """What the condition gives, as soon as it holds. Raises AssertionError when it does not within the limit."""
    end = time.monotonic() + limit_s
    while not (found := condition()):
        assert time.monotonic() < end, f"not within {limit_s:g} s"
        time.sleep(0.01)
    return found
