"""Tells the processes of functions by how much the cloud's clock was moved, in a file that each of them reads."""

from __future__ import annotations

import os
from datetime import datetime

from infra.local.kernel.cloud import Cloud


class Moves:
    """The seconds of all moves so far. They only grow."""

    def __init__(self, cloud: Cloud) -> None:
        self.path = cloud.workspace / "functions" / "moved_s"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._moved_s = 0.0
        self._write()
        cloud.clock.on_move(self._moved)

    def _moved(self, before: datetime, after: datetime) -> None:
        self._moved_s += (after - before).total_seconds()
        self._write()

    def _write(self) -> None:
        # In place and always as long: a reader never finds less than a number.
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT)
        try:
            os.pwrite(descriptor, f"{self._moved_s:032.3f}".encode(), 0)
        finally:
            os.close(descriptor)
