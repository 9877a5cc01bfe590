"""The Lambda Runtime API (2018-06-01) as one worker sees it: next invocation, response, error, initialisation error.

    process: GET  /2018-06-01/runtime/invocation/next              waits, then gets the event
    process: POST /2018-06-01/runtime/invocation/<id>/response     or …/error
    process: POST /2018-06-01/runtime/init/error                   if the handler cannot be imported

Each worker has an address of its own. AWS's client cannot say which worker it is: a part of it takes only a host and a
port."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer, ThreadingMixIn
from typing import Any, ClassVar

from localcloud.kernel.cloud_time import machine_time
from localcloud.kernel.web_pages import why_refused

PREFIX = "/2018-06-01/runtime/"


@dataclass(kw_only=True)
class Invocation:
    """One event on its way through a worker."""

    request_id: str
    function_arn: str
    payload: bytes
    timeout_s: float
    deadline: float = 0.0
    """Seconds since the epoch on the machine's clock. Set when the worker takes the event."""
    taken: threading.Event = field(default_factory=threading.Event)
    """Set when the worker has taken the event."""
    done: threading.Event = field(default_factory=threading.Event)
    """Set when there is an answer, or when the worker has ended."""
    response: bytes | None = None
    """The function's answer; None if it failed."""
    error: bytes | None = None
    """The error that the function's process reported, as JSON; None if it did not."""


class RuntimeApi:
    """Serves one worker on a port of loopback: hands it one event at a time and takes its answers."""

    def __init__(self, background: Callable[[str, Callable[[], None]], object]) -> None:
        self.ready = threading.Event()
        """Set when the handler's module is imported and the worker asks for events."""
        self.initialisation_error: bytes | None = None
        """The error by which the import of the handler failed, as JSON."""
        # An event goes from `_given` (handed over by the pool) to `_current` (taken by the process); one at a time.
        self._given: Invocation | None = None
        self._current: Invocation | None = None
        self._changed = threading.Condition()
        self._closed = False
        self._server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"api": self}))
        self._port = self._server.server_address[1]
        background("runtime-api", self._serve)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._port}"

    def give(self, invocation: Invocation) -> None:
        """Hand the event to the worker, and return at once."""
        with self._changed:
            self._given = invocation
            self._changed.notify_all()

    def close(self) -> None:
        """Answer nothing more and give the port back."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        # Two threads may be blocked: one in `next`, woken above, and one that accepts connections. The empty
        # connection ends that one's `handle_request`; its loop then sees `_closed`.
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", self._port), timeout=1.0).close()

    def _serve(self) -> None:
        with self._server:
            while not self._closed:
                self._server.handle_request()

    def next(self) -> Invocation | None:
        """The next event, as soon as there is one, or None after `close`."""
        self.ready.set()
        # The thread of the worker's open GET waits here between two events: so an idle worker looks on AWS too. The
        # deadline is set when the worker takes the event, so a cold start does not use up the function's time.
        with self._changed:
            self._changed.wait_for(lambda: self._given is not None or self._closed)
            self._current, self._given = self._given, None
        if self._current is not None:
            self._current.deadline = machine_time() + self._current.timeout_s
            self._current.taken.set()
        return self._current

    def answer(self, request_id: str, *, response: bytes | None = None, error: bytes | None = None) -> bool:
        """Take the worker's answer. Returns False if it does not belong to the event that the worker has."""
        # A function that was timed out may still answer. Then its event is done, or another one is current.
        current = self._current
        if current is None or current.request_id != request_id or current.done.is_set():
            return False
        current.response, current.error = response, error
        current.done.set()
        return True


class _Server(ThreadingMixIn, TCPServer):
    daemon_threads = True


class _Handler(BaseHTTPRequestHandler):
    api: ClassVar[RuntimeApi]
    protocol_version = "HTTP/1.1"
    # Header and body leave in one packet. Otherwise a small answer waits 40 ms for an acknowledgement.
    wbufsize = -1
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        if self._is_of_a_page():
            return self._reply(403)
        if self.path != PREFIX + "invocation/next":
            return self._reply(404)
        invocation = self.api.next()
        if invocation is None:
            # Closed: the worker has ended, or the cloud stops. There is nothing to answer.
            self.close_connection = True
            return None
        return self._reply(
            200,
            invocation.payload,
            {
                "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
                "Lambda-Runtime-Deadline-Ms": str(int(invocation.deadline * 1000)),
                "Lambda-Runtime-Invoked-Function-Arn": invocation.function_arn,
                "Lambda-Runtime-Trace-Id": f"Root=1-{int(time.time()):08x}-{invocation.request_id[-12:]:0>24}",
            },
        )

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self._is_of_a_page():
            return self._reply(403)
        match self.path.removeprefix(PREFIX).split("/"):
            case ["init", "error"]:
                self.api.initialisation_error = body
                return self._reply(202)
            case ["invocation", request_id, "response"]:
                accepted = self.api.answer(request_id, response=body)
            case ["invocation", request_id, "error"]:
                accepted = self.api.answer(request_id, error=body)
            case _:
                return self._reply(404)
        return self._reply(202 if accepted else 400)

    def _is_of_a_page(self) -> bool:
        """Whether a browser sent the request for a web page, which could else take an event from the worker."""
        headers = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in self.headers.items()}
        return why_refused({"REQUEST_METHOD": self.command, **headers}, hosts=("127.0.0.1",)) is not None

    def _reply(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        return
