"""Processes that are forks of one that has imported their large libraries, in place of interpreters of their own.

What they import is most of what a function's start and a job's first seconds cost on a laptop. A fork has the same
interpreter and packages as it would have by itself, but its own environment, working folder, log and process group.
"""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import threading
import time
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from infra.local.kernel.cloud import Cloud
from infra.local.kernel.processes import Process

START_S = 120.0
"""The server's imports take seconds; one that takes longer than this, or ends, is not asked."""
ANSWER_S = 30.0
READ_AT_IMPORT = (
    "ARROW_",
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_INITIALIZATION_TYPE",
    "BOTO",
    "CUDA_",
    "KMP_",
    "LD_",
    "MKL_",
    "OMP_",
    "OPENBLAS_",
    "POWERTOOLS_DE",
    "PYDANTIC_",
    "PYICEBERG_",
    "PYTHON",
    "TORCH",
)
"""How variables begin that libraries read when they are imported: a process whose values differ is no fork."""


class ForkedProcess:
    """What `subprocess.Popen` is for a process that was started: its id, which is that of its group, and its end."""

    def __init__(self, connection: socket.socket) -> None:
        """The request was sent over it. Raises OSError where no process answers."""
        connection.settimeout(ANSWER_S)
        self._connection, self._lines, self._lock = connection, connection.makefile("rb"), threading.Lock()
        # Not at the end of the process: another thread may be waiting for it.
        weakref.finalize(self, _close, self._lines, connection)
        told = self._lines.readline()
        if not told:
            raise ConnectionError("the fork server ended")
        self.pid = int(told)
        connection.settimeout(None)
        self.returncode: int | Any = None

    def poll(self) -> int | None:
        """The exit code once it has ended."""
        return self._ended(0.0)

    def wait(self, timeout: float | None = None) -> int:
        """As `Popen.wait`."""
        code = self._ended(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0)
        return code

    def _ended(self, timeout_s: float | None) -> int | None:
        if self.returncode is None:
            poller = select.poll()
            poller.register(self._connection, select.POLLIN)
            if poller.poll(None if timeout_s is None else 1000 * timeout_s):
                with self._lock:
                    if self.returncode is None:
                        # Nothing comes where who waits for it was killed: then the cloud itself ends.
                        self.returncode = int(self._lines.readline() or -9)
        return self.returncode


def _close(lines: BinaryIO, connection: socket.socket) -> None:
    lines.close()
    connection.close()


@dataclass(frozen=True, kw_only=True)
class Fork:
    """Starts a program as a fork of the server at `address`; called as `Cloud.spawn` calls what starts a process."""

    address: Path
    interpreter: Sequence[str]
    """What the arguments begin with; the program's own come behind it."""

    def __call__(
        self, arguments: Sequence[str], environment: Mapping[str, str], cwd: Path, output: BinaryIO
    ) -> Process:
        request = {
            "arguments": list(arguments[len(self.interpreter) :]),
            "environment": dict(environment),
            "cwd": str(cwd),
            "log": output.name,
        }
        connection, folder = socket.socket(socket.AF_UNIX), os.open(self.address.parent, os.O_RDONLY)
        try:
            connection.connect(f"/proc/self/fd/{folder}/{self.address.name}")  # the address itself may be too long
        finally:
            os.close(folder)
        connection.sendall(json.dumps(request).encode() + b"\n")
        return ForkedProcess(connection)


@dataclass(frozen=True, kw_only=True)
class ForkServer:
    """One that may be started, and what it is started with."""

    name: str
    """Of its folder in the workspace and of its log; one server for each name."""
    before: Sequence[str] = ()
    """The command by which the interpreter is run."""
    interpreter: Sequence[str]
    """And its own words."""
    program: Sequence[str]
    """The fork server itself, as the interpreter takes it."""
    modules: Sequence[str]
    folders: Sequence[Path] = ()
    environment: Mapping[str, str]
    cwd: Path


@dataclass(kw_only=True)
class ForkServers:
    """Those of one cloud, each begun by its first program, or ahead of it by `begin`."""

    cloud: Cloud
    _begun: dict[str, _Begun] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def find(self, server: ForkServer, arguments: Sequence[str], environment: Mapping[str, str]) -> Fork | None:
        """What starts the program as a fork of this server; None where it is to be started by itself."""
        if list(arguments[: len(server.interpreter)]) != list(server.interpreter):
            return None
        names = {name for name in {*server.environment, *environment} if name.startswith(READ_AT_IMPORT)}
        if any(server.environment.get(name) != environment.get(name) for name in names):
            return None
        address = self.begin(server)
        return Fork(address=address, interpreter=server.interpreter) if address else None

    def begin(self, server: ForkServer) -> Path | None:
        """Where the server answers, once it has imported what it imports; None where it could not be started."""
        with self._lock:
            begun = self._begun.setdefault(server.name, _Begun(folder=self.cloud.workspace / "forks" / server.name))
        return begun.address(self.cloud, server)


@dataclass(kw_only=True)
class _Begun:
    folder: Path
    process: Process | None = None
    is_refused: bool = False
    """Whether it could not be started: it is not tried again."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def address(self, cloud: Cloud, server: ForkServer) -> Path | None:
        """Where it answers; it is started where it does not run."""
        found = self.folder / "socket"
        with self.lock:
            if self.is_refused:
                return None
            if self.process and self.process.poll() is None:
                return found
            for stale in self.folder.glob("socket*"):  # of a server before
                stale.unlink()
            self.folder.mkdir(parents=True, exist_ok=True)
            words = [str(found), ",".join(server.modules), ":".join(map(str, server.folders))]
            self.process = cloud.spawn(
                [*server.before, *server.interpreter, *server.program, *words],
                environment=server.environment,
                cwd=server.cwd,
                log=cloud.workspace / "logs" / "forks" / f"{server.name}.log",
            )
            deadline = time.monotonic() + START_S
            while not found.exists():
                if self.process.poll() is not None or time.monotonic() > deadline or cloud.stopping.wait(0.01):
                    self.is_refused = True
                    return None
        return found


def fork_servers(cloud: Cloud) -> ForkServers:
    """Those of this cloud."""
    return cloud.part(ForkServers, lambda: ForkServers(cloud=cloud))
