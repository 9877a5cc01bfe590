"""Lets a process live in the cloud's time: its wall clock is the machine's plus an offset that all processes share.

The offset lies in a file of eight bytes, which each process maps into its memory. So one move of the cloud's clock
moves all of them at once, without a message. The package time-machine replaces the C functions behind `time.time`,
`datetime.now` and the like. `time.monotonic` and all timeouts of the system keep the machine's pace.

The processes of functions, jobs and endpoints load this file by itself: it imports nothing of the cloud."""

from __future__ import annotations

import importlib
import mmap
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

FILE = "MILLRACE_CLOCK"
"""The environment variable with the path of the offset's file. The cloud sets it for every process that it starts.

The package time-machine lies beside that file, since an image or a function has only packages of its own."""
NANOSECONDS = 1_000_000_000


def map_offset(path: str | None) -> memoryview:
    """The offset in nanoseconds, as an array of one number; shared with this process's forks only if there is no path.

    It is read and written in one step of the processor, so nobody finds half a number."""
    if path is None:
        return memoryview(mmap.mmap(-1, 8)).cast("q")
    with open(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as file:
        file.truncate(8)
        return memoryview(mmap.mmap(file.fileno(), 8)).cast("q")


def machine_time() -> float:
    """Seconds since the epoch on the machine's own clock, in a process that lives in the cloud's time or in none."""
    with suppress(KeyError, ValueError):  # ValueError: this process does not live in the cloud's time
        return float(sys.modules["_time_machine"].original_time())
    return time.time()


@contextmanager
def living_by(offset: memoryview) -> Iterator[None]:
    """Let this process live in the cloud's time until the block ends."""
    journey = _start(offset)
    try:
        yield
    finally:
        journey.stop()


def live_in_cloud_time() -> memoryview | None:
    """Let this process live in the cloud's time to its end; the offset. None in a process that no cloud started."""
    path = os.environ.get(FILE)
    if path is None:
        return None
    sys.path.append(os.path.dirname(path))
    try:
        offset = map_offset(path)
        _start(offset)
    finally:
        sys.path.pop()
    return offset


def _start(offset: memoryview) -> Any:
    # The package would load pytest wherever it is installed, which takes longer than all the rest.
    absent = sys.modules.setdefault("pytest", None) is None  # type: ignore[arg-type]
    try:
        time_machine: Any = importlib.import_module("time_machine")
    finally:
        if absent:
            del sys.modules["pytest"]
    read = importlib.import_module("_time_machine").original_time_ns

    class CloudTime(time_machine.Traveller):  # type: ignore[misc]
        def time_ns(self) -> int:
            return read() + offset[0]  # type: ignore[no-any-return]

    journey = time_machine.travel(0)
    journey.start()
    time_machine.traveller_stack[-1] = CloudTime(0, None, True)
    return journey
