"""The clock of the local cloud: the computer's time plus an offset, which can only grow."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta


class Clock:
    """The cloud's time: alarms, schedules, queue visibility and event times read it, the operator moves it forward."""

    def __init__(self) -> None:
        self._offset_s = 0.0
        self._lock = threading.Lock()
        self._listeners: list[Callable[[datetime, datetime], None]] = []

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.timestamp(), UTC)

    def timestamp(self) -> float:
        """Seconds since the epoch, on the cloud's clock."""
        return time.time() + self._offset_s

    def set(self, to: datetime) -> None:
        """Set the clock to any time, without a call of the listeners.

        Only for the start of a cloud. Once anything has run, only `move` is allowed."""
        with self._lock:
            self._offset_s = to.timestamp() - time.time()

    def move(self, to: datetime) -> None:
        """Move the clock forward to `to` and call the listeners: schedules fire in order, alarms are evaluated.

        Returns when all listeners have returned. Raises ValueError if `to` lies in the past: AWS's clock never goes
        back."""
        with self._lock:
            before = self.now()
            if to < before:
                raise ValueError(f"clock: expected a time after {before.isoformat()}, got {to.isoformat()}")
            # The clock keeps an offset, not a time: between two moves it runs on with the machine's clock.
            self._offset_s += (to - before) / timedelta(seconds=1)
        # Outside of the lock, so that a listener may move the clock itself. The listeners are called one after the
        # other in the caller's thread. When `move` returns, each has started what fell due between the two times.
        for listener in list(self._listeners):
            listener(before, to)

    def on_move(self, listener: Callable[[datetime, datetime], None]) -> None:
        """Call `listener(before, after)` after each move."""
        self._listeners.append(listener)
