"""Starts programs as forks of a process that has imported their large libraries, in place of new interpreters.

On a laptop the imports are most of what the start of a function and the first seconds of a job cost. A fork has the
interpreter and the packages that it would have if it were started by itself. Environment, working folder, log and
process group are its own. The other side of the protocol is `fork_server.py`.
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

from localcloud.kernel.cloud import Cloud
from localcloud.kernel.processes import Process

START_S = 120.0
"""Seconds that a server has for its imports. If it takes longer, or ends, programs are started by themselves."""
ANSWER_S = 30.0
"""Seconds within which a server sends the id of a program that it started."""
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
"""The beginnings of variables that libraries read when they are imported.

A program whose values of them differ from the server's is not forked: the libraries have read the server's."""


class ForkedProcess:
    """A forked process, with the members of `subprocess.Popen` that the cloud needs.

    Its id is also the id of its process group."""

    def __init__(self, connection: socket.socket) -> None:
        """Wait for the program's id on a connection over which its request was sent.

        Raises OSError if the server does not answer."""
        connection.settimeout(ANSWER_S)
        self._connection, self._lines, self._lock = connection, connection.makefile("rb"), threading.Lock()
        # The connection is closed with this object, not when the process ends: another thread may be waiting on it.
        weakref.finalize(self, _close, self._lines, connection)
        told = self._lines.readline()
        if not told:
            raise ConnectionError("the fork server ended")
        self.pid = int(told)
        connection.settimeout(None)
        self.returncode: int | Any = None

    def poll(self) -> int | None:
        """The exit code if the process has ended, else None."""
        return self._ended(0.0)

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, as soon as the process has ended.

        Raises TimeoutExpired if it still runs after `timeout` seconds; with None it waits for ever."""
        code = self._ended(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0)
        return code

    def _ended(self, timeout_s: float | None) -> int | None:
        if self.returncode is None:
            # Several threads may wait for one process. The exit code comes once: each waits for a readable connection
            # without the lock, then one of them reads the line and the others find `returncode`.
            poller = select.poll()
            poller.register(self._connection, select.POLLIN)
            if poller.poll(None if timeout_s is None else 1000 * timeout_s):
                with self._lock:
                    if self.returncode is None:
                        # An empty line means that the waiter was killed, which happens when the cloud itself ends.
                        self.returncode = int(self._lines.readline() or -9)
        return self.returncode


def _close(lines: BinaryIO, connection: socket.socket) -> None:
    lines.close()
    connection.close()


@dataclass(frozen=True, kw_only=True)
class Fork:
    """Starts a program as a fork of the server at `address`. An object of it is the `start` of `Cloud.spawn`."""

    address: Path
    """The path of the server's Unix socket."""
    interpreter: Sequence[str]
    """The beginning of the arguments, such as `python -I -S`, which the server has been started with already."""
    has_own_network: bool = False
    """Whether each program is alone in its network, as a container is in its own."""

    def __call__(
        self, arguments: Sequence[str], environment: Mapping[str, str], cwd: Path, output: BinaryIO
    ) -> Process:
        request = {
            "arguments": list(arguments[len(self.interpreter) :]),
            "environment": dict(environment),
            "cwd": str(cwd),
            "log": output.name,
            "has_own_network": self.has_own_network,
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
    """How a fork server is started. It is started only once it is needed."""

    name: str
    """The name of its folder in the workspace and of its log. There is one server for each name."""
    before: Sequence[str] = ()
    """The `unshare` in front of the interpreter that takes the network away; its programs get one each."""
    interpreter: Sequence[str]
    """The interpreter with its options. Only a program whose arguments begin so can be its fork."""
    program: Sequence[str]
    """The fork server itself, as the interpreter takes it: a file, or `-m` and a module."""
    modules: Sequence[str]
    """The modules that it imports, as far as they are installed."""
    folders: Sequence[Path] = ()
    """The folders in front of the standard library, from which it imports them."""
    environment: Mapping[str, str]
    """The environment while it imports. Its programs get their own."""
    cwd: Path
    """The working folder while it imports. Its programs get their own."""


@dataclass(kw_only=True)
class ForkServers:
    """The fork servers of one cloud. The first program starts its server, or `begin` does so ahead of it."""

    cloud: Cloud
    _begun: dict[str, _Begun] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def find(self, server: ForkServer, arguments: Sequence[str], environment: Mapping[str, str]) -> Fork | None:
        """What starts the program as a fork of this server, or None if the program must be started by itself.

        It must if its interpreter differs, if a variable of READ_AT_IMPORT differs, or if the server cannot start."""
        if list(arguments[: len(server.interpreter)]) != list(server.interpreter):
            return None
        names = {name for name in {*server.environment, *environment} if name.startswith(READ_AT_IMPORT)}
        if any(server.environment.get(name) != environment.get(name) for name in names):
            return None
        if (address := self.begin(server)) is None:
            return None
        return Fork(address=address, interpreter=server.interpreter, has_own_network=bool(server.before))

    def begin(self, server: ForkServer) -> Path | None:
        """The path of the server's socket, once its imports are done; None if it could not be started."""
        # This lock is held only to find the entry. The long start has a lock of its own, so that servers of other
        # names start side by side.
        with self._lock:
            begun = self._begun.setdefault(server.name, _Begun(folder=self.cloud.workspace / "forks" / server.name))
        return begun.address(self.cloud, server)


@dataclass(kw_only=True)
class _Begun:
    """A fork server that was asked for, and its process once it was started."""

    folder: Path
    process: Process | None = None
    is_refused: bool = False
    """Whether its start has failed. Then it is not tried again."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def address(self, cloud: Cloud, server: ForkServer) -> Path | None:
        """The path of the server's socket; starts the server if it does not run, and waits for its imports."""
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
            # The server makes the socket's file when it is ready. Until then look for the file, and for its end.
            while not found.exists():
                if cloud.stopping.wait(0.01):
                    return None
                if self.process.poll() is not None or time.monotonic() > deadline:
                    self.is_refused = True
                    return None
        return found


def fork_servers(cloud: Cloud) -> ForkServers:
    """The fork servers of this cloud."""
    return cloud.part(ForkServers, lambda: ForkServers(cloud=cloud))
