"""Jobs as forks of a process that has imported their large libraries: of a training the import of torch is 2.8 s.

On AWS each job starts its container anew. Here the first job of an image starts a `fork_server` in it, and this and all
later ones are forks of that: the same interpreter, packages and network as they would have by themselves, but their own
environment, working folder, log and process group. A job whose environment could change an import is started by itself.
"""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from infra.local.kernel.cloud import Cloud
from infra.local.kernel.processes import Process
from infra.local.sagemaker.containers import Image, without_network

START_S = 120.0
"""The server's imports take seconds; one that takes longer than this, or ends, is not asked."""
ANSWER_S = 30.0
READ_AT_IMPORT = ("PYTHON", "LD_", "OMP_", "MKL_", "OPENBLAS_", "KMP_", "TORCH", "ARROW_", "CUDA_")
"""How variables begin that libraries read when they are imported."""


class ForkedProcess:
    """What `subprocess.Popen` is for a process that was started: its id, which is that of its group, and its end."""

    def __init__(self, connection: socket.socket) -> None:
        """The request was sent over it. Raises OSError where no process answers."""
        connection.settimeout(ANSWER_S)
        self._connection, self._lines = connection, connection.makefile("rb")
        told = self._lines.readline()
        if not told:
            raise ConnectionError("the fork server ended")
        self.pid = int(told)
        connection.settimeout(None)
        self.returncode: int | Any = None

    def poll(self) -> int | None:
        """The exit code once it has ended."""
        if self.returncode is None and select.select([self._connection], [], [], 0)[0]:
            self._end()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """As `Popen.wait`."""
        if self.returncode is None:
            if not select.select([self._connection], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0)
            self._end()
        assert self.returncode is not None
        return self.returncode

    def _end(self) -> None:
        # Nothing comes where who waits for it was killed: then the cloud itself ends.
        self.returncode = int(self._lines.readline() or -9)
        self._lines.close()
        self._connection.close()


@dataclass(kw_only=True)
class ForkServers:
    """One for each image, begun by its first job."""

    cloud: Cloud
    _servers: dict[Path, tuple[Path, Process] | None] = field(default_factory=dict)
    """The address and the server by the image's root; None where none could be started."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def address(self, image: Image, arguments: Sequence[str], environment: Mapping[str, str]) -> Path | None:
        """Where to ask for a job; None where it is to be started by itself."""
        if list(arguments[:2]) != [sys.executable, "-m"] or len(arguments) < 3:
            return None
        own = image.variables(self.cloud.workspace / "forks" / image.name)
        changed = {name for name in {*own, *environment} if own.get(name) != environment.get(name)}
        if any(name.startswith(READ_AT_IMPORT) for name in changed):
            return None
        with self._lock:
            server = self._servers.get(image.root)
            if image.root not in self._servers or (server and server[1].poll() is not None):
                server = self._servers[image.root] = self._start(image, own)
            return server[0] if server else None

    def _start(self, image: Image, environment: Mapping[str, str]) -> tuple[Path, Process] | None:
        folder = self.cloud.workspace / "forks" / image.name
        address = folder / "socket"
        for stale in folder.glob("socket*"):  # of a cloud before
            stale.unlink()
        server = self.cloud.spawn(
            [*without_network(), sys.executable, "-m", "fork_server", str(address)],
            environment=environment,
            cwd=image.cwd,
            log=self.cloud.workspace / "logs" / "forks" / f"{image.name}.log",
        )
        deadline = time.monotonic() + START_S
        while not address.exists():
            if server.poll() is not None or time.monotonic() > deadline or self.cloud.stopping.wait(0.01):
                return None
        return address, server


def fork_servers(cloud: Cloud) -> ForkServers:
    """Those of this cloud."""
    return cloud.part(ForkServers, lambda: ForkServers(cloud=cloud))


@dataclass(frozen=True, kw_only=True)
class Fork:
    """Starts a process as a fork of the server at `address`; called as `Cloud.spawn` calls what starts a process."""

    address: Path

    def __call__(
        self, arguments: Sequence[str], environment: Mapping[str, str], cwd: Path, output: BinaryIO
    ) -> Process:
        _, _, module, *words = arguments
        request = {
            "module": module,
            "arguments": words,
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
