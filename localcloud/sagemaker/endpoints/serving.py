"""One serving container: a process that answers /ping and /invocations on a loopback port.

SageMaker starts the image with `serve`. The variable SAGEMAKER_BIND_TO_PORT says the port, as for multi-model images.
"""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from localcloud.kernel.cloud import Cloud
from localcloud.kernel.processes import Process, end_group
from localcloud.sagemaker.containers import Image

_PING_POLL_S = 0.02
"""Seconds between two questions, whether a server is ready or has nothing left to answer."""
_PING_LIMIT_S = 2.0
"""Seconds for the answer to a GET, such as of /ping."""
_STOP_GRACE_S = 30.0
"""Seconds between SIGTERM and SIGKILL of a serving container."""


class UnansweredError(Exception):
    """There was no answer: the process has ended, or the time was over. The message says which."""


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What the container answered."""

    status: int
    headers: Mapping[str, str]
    """The names are in lower case."""
    body: bytes


@dataclass(kw_only=True)
class Server:
    """One process of a model: `start` it, wait until it is `ready`, `post` to it, `end` it."""

    cloud: Cloud
    image: Image
    model: Path
    """The folder that stands for `/opt/ml/model`."""
    root: Path
    """The folder that stands for `/opt/ml`. Each server has its own."""
    environment: Mapping[str, str]
    log: Path
    port: int = 0
    process: Process | None = None
    busy: int = 0
    """How many requests are on their way. `end` waits until they are answered."""
    _idle: list[http.client.HTTPConnection] = field(default_factory=list)
    """Open connections that no request uses; guarded by `_lock`."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self) -> None:
        """Start the process, for the first time or again after it has ended."""
        # At the first start only: the same object starts its process again, and one action at the cloud's end does.
        if self.process is None:
            self.cloud.at_stop(self._close_idle)
        self.root.mkdir(parents=True, exist_ok=True)
        link = self.root / "model"
        if not link.exists():
            link.symlink_to(self.model, target_is_directory=True)
        # Connections to the former process lead nowhere.
        self._close_idle()
        self.port = free_port()
        variables = self.image.variables(self.root, self.environment)
        self.process = self.cloud.spawn(
            self.image.mounted(self.root, self.image.arguments(command=("serve",)), "-rm"),
            environment={
                **variables,
                "SAGEMAKER_BIND_TO_PORT": str(self.port),
                "SAGEMAKER_SAFE_PORT_RANGE": f"{self.port}-{self.port}",
                # It listens on loopback only, and one process is one instance.
                "MILLRACE_BIND": "127.0.0.1",
                "MILLRACE_WORKERS": "1",
                "AWS_REGION": self.cloud.region,
            },
            cwd=self.image.cwd,
            log=self.log,
        )

    @property
    def alive(self) -> bool:
        """Whether the process runs; it may not answer yet."""
        return self.process is not None and self.process.poll() is None

    def ready(self, limit_s: float, given_up: threading.Event | None = None) -> bool:
        """Wait until /ping answers 200, and return True; False if it does not within `limit_s` seconds.

        Returns False at once if the process ends, `given_up` is set or the cloud stops."""
        end = time.monotonic() + limit_s
        while time.monotonic() < end and self.alive and not self.cloud.stopping.is_set():
            if given_up is not None and given_up.is_set():
                return False
            if self.ping():
                return True
            time.sleep(_PING_POLL_S)
        return False

    def ping(self) -> bool:
        """Whether /ping answers 200."""
        try:
            return self._exchange(self._connect(_PING_LIMIT_S), "GET", "/ping", b"", {}).status == 200
        except (OSError, http.client.HTTPException):
            return False

    def get(self, path: str) -> Reply | None:
        """The answer to a GET of the path; None if there was none."""
        try:
            return self._exchange(self._connect(_PING_LIMIT_S), "GET", path, b"", {})
        except (OSError, http.client.HTTPException):
            return None

    def post(self, body: bytes, headers: Mapping[str, str], limit_s: float) -> Reply:
        """The answer of /invocations. Raises UnansweredError if there is none within `limit_s` seconds."""
        with self._lock:
            kept = self._idle.pop() if self._idle else None
        # First over a connection that was kept; over a new one if the server had closed that one, or none was kept.
        for connection in (kept, None) if kept else (None,):
            fresh = connection is None
            try:
                used = connection or self._connect(limit_s)
                return self._exchange(used, "POST", "/invocations", body, headers, limit_s=limit_s)
            except TimeoutError as error:
                raise UnansweredError(
                    "Your invocation timed out while waiting for a response from container primary. Review the "
                    "latency metrics for each container in Amazon CloudWatch, resolve the issue, and try again."
                ) from error
            except (OSError, http.client.HTTPException) as error:
                # The server may have closed a kept connection while it was idle: the request goes out once more. It
                # does not if the process has ended.
                if fresh or not self.alive:
                    raise UnansweredError(f"the container closed the connection: {type(error).__name__}") from error
        raise AssertionError("unreachable")

    def _connect(self, limit_s: float) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=limit_s)

    def _exchange(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        body: bytes,
        headers: Mapping[str, str],
        *,
        limit_s: float | None = None,
    ) -> Reply:
        try:
            if connection.sock is not None and limit_s is not None:
                connection.sock.settimeout(limit_s)
            connection.request(method, path, body or None, dict(headers))
            answer = connection.getresponse()
            content = answer.read()
        except BaseException:
            connection.close()
            raise
        # When the cloud stops, `_close_idle` may have run already: then no connection is kept any more.
        with self._lock:
            if answer.will_close or method == "GET" or self.cloud.stopping.is_set():
                connection.close()
            else:
                self._idle.append(connection)
        found = {name.lower(): value for name, value in answer.getheaders()}
        return Reply(status=answer.status, headers=found, body=content)

    def _close_idle(self) -> None:
        with self._lock:
            for connection in self._idle:
                connection.close()
            self._idle.clear()

    def end(self, drain_s: float = 0.0) -> None:
        """End the process and return when it is gone: TERM, then KILL after the grace.

        Before that, wait up to `drain_s` seconds until the requests on their way are answered."""
        end = time.monotonic() + drain_s
        while self.busy and time.monotonic() < end and not self.cloud.stopping.is_set():
            time.sleep(_PING_POLL_S)
        self._close_idle()
        if self.process is not None and self.process.poll() is None:
            end_group(self.process, _STOP_GRACE_S)


def free_port() -> int:
    """The number of a loopback port that is free now."""
    with socket.socket() as probe:
        # The kernel keeps the number out of its ephemeral choices for a moment after a plain bind and close.
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
