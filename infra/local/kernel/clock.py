"""The one clock of the local cloud: the machine's time plus an offset that can only grow."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta


class Clock:
    """Read by alarms, schedules, queue visibility and event times; moved by the operator, never backwards."""

    def __init__(self) -> None:
        self._offset_s = 0.0
        self._lock = threading.Lock()
        self._listeners: list[Callable[[datetime, datetime], None]] = []

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.timestamp(), UTC)

    def timestamp(self) -> float:
        """Seconds since the epoch."""
        return time.time() + self._offset_s

    def set(self, to: datetime) -> None:
        """Set the clock before anything has run; afterwards only `move` is allowed."""
        with self._lock:
            self._offset_s = to.timestamp() - time.time()

    def move(self, to: datetime) -> None:
        """Move forward to `to` and call the listeners (schedules fire in order, alarms are evaluated).

        Raises ValueError when `to` lies in the past: AWS's clock does not go back."""
        with self._lock:
            before = self.now()
            if to < before:
                raise ValueError(f"clock: expected a time after {before.isoformat()}, got {to.isoformat()}")
            # An offset and no time of its own: between two moves the clock runs on with the machine's.
            self._offset_s += (to - before) / timedelta(seconds=1)
        # Outside of the lock, so that a listener may move the clock itself. They are called one after the other in the
        # caller's thread: when `move` returns, each has seen both times and started what fell due between them.
        for listener in list(self._listeners):
            listener(before, to)

    def on_move(self, listener: Callable[[datetime, datetime], None]) -> None:
        """Call `listener(before, after)` after each move."""
        self._listeners.append(listener)
