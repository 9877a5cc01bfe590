"""Processes of a command, each with its log and session; no signal, however early, leaves one running."""

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

from millrace.errors import LocalCloudError

STOP_S = 10
SIGNALS = (signal.SIGINT, signal.SIGTERM)
WORKER = "MILLRACE_ENTERED={}/entered"
"""How a process of the cloud names its workspace in its environment (`infra/local/kernel/call_tracer.py`)."""
TAIL = 15
"""Lines of the log in the error of a failed process."""


@dataclass(frozen=True, kw_only=True)
class Process:
    """A process that was started, and where it writes."""

    what: str
    log: Path
    popen: subprocess.Popen[bytes]

    def has_ended(self) -> bool:
        return self.popen.poll() is not None

    def succeed(self) -> None:
        """Wait for its end; raises LocalCloudError with the end of its log unless it exits with 0."""
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
    """Logs and temporary files lie below it."""
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
        """Start a Python module, or another program; its output goes to the log of that name."""
        # Temporary files of an interrupted process stay below the build folder.
        temporary = self.folder.resolve() / "tmp"
        temporary.mkdir(exist_ok=True)
        with (self.folder / log).open("wb") as output, undisturbed():
            popen = subprocess.Popen(
                [*program, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**_without_account(), "TMPDIR": str(temporary), **(environment or {})},
                cwd=cwd,
                start_new_session=True,
            )
            process = Process(what=what, log=self.folder / log, popen=popen)
            self._running.append(process)
        return process

    def release(self, process: Process) -> None:
        """From now on `stop` leaves it alone."""
        self._running.remove(process)

    def stop(self) -> None:
        """TERM to each process group, KILL after STOP_S, also to what a killed cloud had started; signals are ignored
        meanwhile."""
        before = {number: signal.signal(number, signal.SIG_IGN) for number in SIGNALS}
        try:
            is_late = False
            left = [process.popen for process in self._running if not process.has_ended()]
            for popen in left:
                os.killpg(popen.pid, signal.SIGTERM)
            end = time.monotonic() + STOP_S
            for popen in left:
                try:
                    popen.wait(timeout=max(0.1, end - time.monotonic()))
                except subprocess.TimeoutExpired:
                    is_late = True
                # Also what the leader of the group left behind: the synthesis has a child of its own.
                with suppress(ProcessLookupError):
                    os.killpg(popen.pid, signal.SIGKILL)
                popen.wait()
            if is_late:
                end_workers(workspace(self.folder))
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def workspace(folder: Path) -> Path:
    """Of the cloud whose processes have this folder."""
    return folder.resolve() / "local"


def end_workers(of: Path) -> None:
    """What a cloud of this workspace could not end; found where the system tells processes by /proc.

    Returns when they are gone: the kernel takes its time over one with much memory."""
    mark, killed = WORKER.format(of).encode(), []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if mark in (process / "environ").read_bytes().split(b"\0"):
                os.kill(int(process.name), signal.SIGKILL)
                killed.append(process)
    end = time.monotonic() + STOP_S
    while any(map(_has_memory, killed)) and time.monotonic() < end:
        time.sleep(0.01)


def _has_memory(process: Path) -> bool:
    """Whether it has its command line still: the last that a killed one loses, also where nobody reaps it."""
    with suppress(OSError):
        return bool((process / "cmdline").read_bytes())
    return False


def _without_account() -> dict[str, str]:
    """The environment without any account: whatever profile or keys a person has, the local cloud sees none."""
    return {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}


@contextmanager
def undisturbed() -> Iterator[None]:
    """Signals take effect at the end of the block, so that a process that was just started is registered first."""
    came: list[int] = []
    before = {number: signal.signal(number, lambda got, _: came.append(got)) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    for got in came:
        signal.raise_signal(got)
