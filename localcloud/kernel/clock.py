"""The clock of the local cloud: the machine's time plus an offset, by which all its processes live."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from localcloud.kernel.cloud_time import NANOSECONDS, machine_time, map_offset


class Clock:
    """The cloud's time: alarms, schedules, queue visibility and event times read it, the operator moves it forward."""

    def __init__(self, folder: Path | None = None) -> None:
        """`folder` gets the offset's file and the package that processes need to live by it. None keeps them inside."""
        self.file = folder / "offset" if folder else None
        """The file with the offset (`localcloud.kernel.cloud_time`)."""
        if folder:
            folder.mkdir(exist_ok=True)
            _link_time_machine(folder)
        self.offset_ns = map_offset(str(self.file) if self.file else None)
        self._lock = threading.Lock()
        self._listeners: list[Callable[[datetime, datetime], None]] = []

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.timestamp(), UTC)

    def timestamp(self) -> float:
        """Seconds since the epoch, on the cloud's clock."""
        return machine_time() + self.offset_ns[0] / NANOSECONDS

    def set(self, to: datetime) -> None:
        """Set the clock to any time, without a call of the listeners.

        Only for the start of a cloud. Once anything has run, only `move` is allowed."""
        with self._lock:
            self.offset_ns[0] = round((to.timestamp() - machine_time()) * NANOSECONDS)

    def move(self, to: datetime) -> None:
        """Move the clock forward to `to` and call the listeners: schedules fire in order, alarms are evaluated.

        Returns when all listeners have returned. Raises ValueError if `to` lies in the past: AWS's clock never goes
        back."""
        with self._lock:
            before = self.now()
            if to < before:
                raise ValueError(f"clock: expected a time after {before.isoformat()}, got {to.isoformat()}")
            # The clock keeps an offset, not a time: between two moves it runs on with the machine's clock.
            self.offset_ns[0] += (to - before) // timedelta(microseconds=1) * 1000
        # Outside of the lock, so that a listener may move the clock itself. The listeners are called one after the
        # other in the caller's thread. When `move` returns, each has started what fell due between the two times.
        for listener in list(self._listeners):
            listener(before, to)

    def on_move(self, listener: Callable[[datetime, datetime], None]) -> None:
        """Call `listener(before, after)` after each move."""
        self._listeners.append(listener)


def _link_time_machine(folder: Path) -> None:
    for name in ("time_machine", "_time_machine"):
        source = locate(name)
        (folder / source.name).unlink(missing_ok=True)
        (folder / source.name).symlink_to(source)


def locate(module: str) -> Path:
    """The file or folder of a module of this interpreter. Raises ModuleNotFoundError if there is none."""
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"the local cloud needs {module!r} for its processes")
    origin = Path(spec.origin)
    return origin.parent if origin.name == "__init__.py" else origin
