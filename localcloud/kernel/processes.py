"""The processes that the cloud starts, each in a process group of its own."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Protocol


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
