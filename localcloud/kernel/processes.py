"""The processes that the cloud starts, each in a process group of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from localcloud.kernel.memory import exceed, members

_POLL_S, _LOOK_S = 0.02, 0.2
"""Seconds between two looks for the end of a process, and at its memory."""


class Process(Protocol):
    """The members of `subprocess.Popen` that the cloud needs of a process."""

    pid: int
    """The id of the process and of its group."""
    returncode: int | Any

    def poll(self) -> int | None:
        """The exit code if the process has ended, else None."""
        ...

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, as soon as the process has ended. Raises TimeoutExpired after `timeout` seconds."""
        ...


class Start(Protocol):
    """What starts a process whose output is appended to the file `output`."""

    def __call__(
        self, arguments: Sequence[str], environment: Mapping[str, str], cwd: Path, output: BinaryIO
    ) -> Process:
        """The process, once it runs."""
        ...


def started_by_itself(
    arguments: Sequence[str], environment: Mapping[str, str], cwd: Path, output: BinaryIO
) -> subprocess.Popen[bytes]:
    """A program started as a new process of its own, not as a fork of a fork server."""
    return subprocess.Popen(
        arguments,
        env=environment,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def signal_group(process: Process, number: signal.Signals) -> None:
    """Send the signal to the process and to all that it has started. If they have ended, nothing happens."""
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return


def end_group(process: Process, grace_s: float) -> None:
    """End the process and all that it has started, and return when it is gone: TERM, then KILL after the grace."""
    signal_group(process, signal.SIGTERM)
    try:
        process.wait(timeout=grace_s)
    except subprocess.TimeoutExpired:
        signal_group(process, signal.SIGKILL)
        process.wait()


def watch(held: Sequence[tuple[Process, float]], stop: threading.Event, limit_s: float, grace_s: float) -> str:
    """Wait until one of the processes ends, each of which may hold so many MiB with all that it has started.

    Returns "" then. Else all are ended, and why is returned: "stop" if that is set, "time" after `limit_s` real
    seconds, "memory" if one holds more. TERM comes first and KILL after the grace; KILL alone for memory, as the
    kernel of an instance does."""
    end, look, why = time.monotonic() + limit_s, 0.0, ""
    while not why and all(process.poll() is None for process, _ in held):
        if stop.wait(_POLL_S):
            why = "stop"
        elif time.monotonic() > end:
            why = "time"
        elif time.monotonic() > look:
            look = time.monotonic() + _LOOK_S
            why = "memory" if any(exceed(members(process.pid), most_mb) for process, most_mb in held) else ""
    for process, _ in held if why else ():
        if why == "memory":
            signal_group(process, signal.SIGKILL)
        end_group(process, grace_s)
    return why
