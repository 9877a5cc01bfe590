"""The processes that the cloud starts, each in a group of its own."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Protocol


class Process(Protocol):
    """What the cloud needs of one: as `subprocess.Popen` has it."""

    pid: int
    """Of its group, too."""
    returncode: int | Any

    def poll(self) -> int | None:
        """The exit code once it has ended."""
        ...

    def wait(self, timeout: float | None = None) -> int:
        """The exit code; raises TimeoutExpired."""
        ...


class Start(Protocol):
    """What starts one, its output appended to the file `output`."""

    def __call__(
        self, arguments: Sequence[str], environment: Mapping[str, str], cwd: Path, output: BinaryIO
    ) -> Process:
        """Return once it runs."""
        ...


def started_by_itself(
    arguments: Sequence[str], environment: Mapping[str, str], cwd: Path, output: BinaryIO
) -> subprocess.Popen[bytes]:
    """A program that is begun anew."""
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
    """Send it to the process and all that it has started; nothing where they have ended."""
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return
