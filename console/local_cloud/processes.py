"""The processes of a command, each with its own log and session. No signal, however early, leaves one running."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from millrace.errors import LocalCloudError

STOP_S = 10
"""How long a process may take to end after TERM, in seconds."""
SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""The signals by which people and systems end a command."""
WORKER = "MILLRACE_ENTERED={}/entered"
"""The environment variable by which a process of the cloud names its workspace
(`localcloud/kernel/call_tracer.py`)."""
TAIL = 15
"""How many lines of the log the error of a failed process shows."""


@dataclass(frozen=True, kw_only=True)
class Process:
    """A process that was started, and its log."""

    what: str
    """Its name in errors: `synthesis`."""
    log: Path
    popen: subprocess.Popen[bytes]

    def has_ended(self) -> bool:
        return self.popen.poll() is not None

    def succeed(self) -> None:
        """Wait until the process ends. Raises LocalCloudError with the end of its log unless it exits with 0."""
        if self.popen.wait() == 0:
            return
        tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-TAIL:])
        raise LocalCloudError(
            f"{self.what}: expected exit status 0, got {self.popen.returncode}; see {self.log}\n{tail}"
        )


@dataclass(kw_only=True)
class Processes:
    """The processes of a command; `stop` ends all of them."""

    folder: Path
    """Logs and temporary files lie below this folder."""
    _running: list[Process] = field(default_factory=list)

    def start(
        self,
        what: str,
        arguments: Sequence[str],
        *,
        log: str,
        environment: Mapping[str, str] | None = None,
        program: Sequence[str] = (sys.executable, "-m"),
        cwd: Path | None = None,
    ) -> Process:
        """Start a Python module, or another program. Its output goes to the file `log` in the folder."""
        # Temporary files of an interrupted process stay below the build folder.
        temporary = self.folder.resolve() / "tmp"
        temporary.mkdir(exist_ok=True)
        # Whatever profile or keys a person has, the local cloud sees none.
        known = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        with (self.folder / log).open("wb") as output, undisturbed():
            popen = subprocess.Popen(
                [*program, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**known, "TMPDIR": str(temporary), **(environment or {})},
                cwd=cwd,
                # A session and a process group of its own: Ctrl-C in the terminal does not reach it, and `stop` can
                # signal the whole group.
                start_new_session=True,
            )
            process = Process(what=what, log=self.folder / log, popen=popen)
            self._running.append(process)
        return process

    def release(self, process: Process) -> None:
        """From now on, `stop` leaves this process alone."""
        self._running.remove(process)

    def stop(self) -> None:
        """Send TERM to each process group, and KILL after STOP_S seconds, also to what a killed cloud had started.

        Signals to this process are ignored meanwhile."""
        with handled(signal.SIG_IGN):
            is_late = False
            left = [process.popen for process in self._running if not process.has_ended()]
            for popen in left:
                os.killpg(popen.pid, signal.SIGTERM)
            end = time.monotonic() + STOP_S
            for popen in left:
                try:
                    # All processes share one deadline.
                    popen.wait(timeout=max(0.1, end - time.monotonic()))
                except subprocess.TimeoutExpired:
                    is_late = True
                # Also what the leader of the group left behind: the synthesis has a child of its own.
                with suppress(ProcessLookupError):
                    os.killpg(popen.pid, signal.SIGKILL)
                popen.wait()
            if is_late:
                end_workers(workspace(self.folder))


def workspace(folder: Path) -> Path:
    """The workspace of the cloud whose processes have this folder."""
    return folder.resolve() / "local"


def end_workers(of: Path) -> int:
    """Kill the processes that a cloud of this workspace could not end; they are found by /proc, if the system has it.

    Returns their number when they are gone: the kernel takes a while to end a process with much memory."""
    mark, killed = WORKER.format(of).encode(), []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if mark in (process / "environ").read_bytes().split(b"\0"):
                os.kill(int(process.name), signal.SIGKILL)
                killed.append(process)
    end = time.monotonic() + STOP_S
    while any(map(_has_memory, killed)) and time.monotonic() < end:
        time.sleep(0.01)
    return len(killed)


def _has_memory(process: Path) -> bool:
    """Whether the killed process still has its command line.

    That is the last that it loses, even if nobody collects it."""
    with suppress(OSError):
        return bool((process / "cmdline").read_bytes())
    return False


@contextmanager
def handled(handler: Any) -> Iterator[None]:
    """While the block runs, `handler` takes the signals."""
    before = {number: signal.signal(number, handler) for number in SIGNALS}
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Signals take effect only at the end of the block, so that a process that was just started is registered first."""
    came: list[int] = []
    # The signals that arrive in the block are recorded, and raised again once the former handlers are back.
    with handled(lambda got, _: came.append(got)):
        yield
    for got in came:
        signal.raise_signal(got)
