"""One thread, one loop: read all requests that have arrived, answer them in one pass of the model, write.

All requests that are complete when the loop looks are answered together, so load makes the passes larger and nobody
waits for a batch to fill. A client that is slow, stalls or sends garbage costs only its own connection.
"""

from __future__ import annotations

import selectors
import signal
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from jobs.serving import http
from jobs.serving.http import BadRequest, Head, Heads
from jobs.serving.settings import Settings

READ_BYTES = 256 * 1024
MAX_CONNECTIONS = 1024
REQUEST_S = 60.0
"""A request that is not whole after this, and an answer that is not taken, is given up; SageMaker gives up as well.

A new connection must bring its first request in this time too."""
IDLE_S = 10.0
"""Where no further connection fits, one whose last request was answered this long ago makes room."""
DRAIN_S = 20.0
"""How long requests under way are still answered after SIGTERM; SIGKILL comes after 30 s."""
SWEEP_S = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    head: Head
    body: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    status: int
    body: bytes
    content_type: str = "application/json"


class Answering(Protocol):
    """What the server needs: one answer per request, in their order, without raising."""

    def answer(self, requests: Sequence[Request]) -> list[Answer]: ...
    def refuse(self, bad: BadRequest) -> Answer: ...


class Connection:
    """A client: what it has sent that is not answered, what it has not taken yet."""

    __slots__ = ("closes", "head", "received", "refusal", "since", "socket", "unsent", "used")

    def __init__(self, client: socket.socket) -> None:
        self.socket = client
        self.received = bytearray()
        self.unsent: bytes | memoryview = b""
        self.head: Head | None = None
        self.closes = False
        self.refusal = b""
        """What is written behind the answers of this turn: the client sent garbage after its good requests."""
        self.since = time.monotonic()
        """When the request or the answer under way began; 0: none is. At first: when the client came."""
        self.used = 0.0
        """When the last request was whole."""


def listen(bind: str, port: int) -> socket.socket:
    """The socket that all workers accept from."""
    listener = socket.create_server((bind, port), backlog=1024)
    listener.setblocking(False)
    return listener


def serve(listener: socket.socket, application: Answering, settings: Settings) -> None:
    """Answer until SIGTERM, then finish what has been begun; to be called in the main thread."""
    server = Server(listener, application, Heads(settings.max_body_bytes))
    signal.signal(signal.SIGTERM, lambda _number, _frame: server.stop())
    server.run()


class Server:
    """The loop and its connections."""

    def __init__(self, listener: socket.socket, application: Answering, heads: Heads) -> None:
        self._listener, self._application, self._heads = listener, application, heads
        self._selector = selectors.DefaultSelector()
        self._connections: set[Connection] = set()
        self._accepts = self._stops = False
        # A byte on this pair ends the wait in `select`: a signal alone would only be noticed at the next request.
        self._wake, self._woken = socket.socketpair()

    def stop(self) -> None:
        """Take no new connections; `run` returns when those with a request under way are answered.

        May be called from a signal handler or another thread."""
        self._stops = True
        self._wake.send(b"x")

    def run(self) -> None:
        """Returns once stopped and drained."""
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._accept_more(True)
        swept = time.monotonic()
        while not self._stops:
            self._turn()
            if (now := time.monotonic()) - swept > SWEEP_S:
                swept = now
                self._sweep(now)
        self._drain(time.monotonic() + DRAIN_S)

    def _drain(self, until: float) -> None:
        # No new clients, and those without a request under way go at once. The others get their answer with
        # `connection: close`, which `_turn` says as soon as `_stops` is set.
        self._accept_more(False)
        self._listener.close()
        self._selector.unregister(self._woken)
        for connection in [one for one in self._connections if not (one.received or one.head or one.unsent)]:
            self._close(connection)
        while self._connections and time.monotonic() < until:
            self._turn()
        for connection in list(self._connections):
            self._close(connection)
        self._selector.close()
        self._wake.close()
        self._woken.close()

    def _accept_more(self, wanted: bool) -> None:
        if wanted and not self._accepts:
            self._selector.register(self._listener, selectors.EVENT_READ)
        elif self._accepts and not wanted:
            self._selector.unregister(self._listener)
        self._accepts = wanted

    def _turn(self) -> None:
        # First read from everybody who has sent something, then one pass of the model for all whole requests.
        requests: list[Request] = []
        asking: list[Connection] = []
        for key, events in self._selector.select(SWEEP_S):
            connection = key.data
            if connection is None:
                self._accept() if key.fileobj is self._listener else self._woken.recv(64)
            elif events & selectors.EVENT_WRITE:
                self._send(connection, b"")
            else:
                found = self._receive(connection)
                requests += found
                asking += [connection] * len(found)
        if not requests:
            return
        # A client may have sent several requests at once (pipelining): its answers leave in one write, in order.
        replies: dict[Connection, bytes] = {}
        for connection, request, answer in zip(asking, requests, self._application.answer(requests), strict=True):
            keep_alive = request.head.keep_alive and not self._stops
            connection.closes |= not keep_alive
            written = http.write(answer.status, answer.body, answer.content_type, keep_alive=keep_alive)
            replies[connection] = replies.get(connection, b"") + written
        for connection, reply in replies.items():
            self._send(connection, reply + connection.refusal)

    def _accept(self) -> None:
        if len(self._connections) >= MAX_CONNECTIONS:
            # The rest waits in the kernel's backlog, or goes to another worker; `_close` takes up accepting again.
            self._accept_more(False)
            return
        try:
            client, _ = self._listener.accept()
        except OSError:
            return  # another worker was faster, or the client has gone
        client.setblocking(False)
        if client.family in (socket.AF_INET, socket.AF_INET6):
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = Connection(client)
        self._connections.add(connection)
        self._selector.register(client, selectors.EVENT_READ, connection)

    def _receive(self, connection: Connection) -> list[Request]:
        """The requests that are whole now; those of a client that sent garbage are refused here."""
        try:
            data = connection.socket.recv(READ_BYTES)
        except BlockingIOError:
            return []
        except OSError:
            data = b""
        if not data:
            self._close(connection)
            return []
        # After a request that closes the connection nothing more is read: what follows it would get no answer.
        connection.received += data
        found: list[Request] = []
        try:
            while not (found and not found[-1].head.keep_alive) and (request := self._cut(connection)):
                found.append(request)
        except BadRequest as bad:
            refusal = self._application.refuse(bad)
            connection.closes = True
            connection.refusal = http.write(refusal.status, refusal.body, refusal.content_type, keep_alive=False)
            if not found:
                self._send(connection, connection.refusal)
            return found
        if connection.received and not connection.since:
            connection.since = time.monotonic()
        return found

    def _cut(self, connection: Connection) -> Request | None:
        """The next request, cut off the bytes received, or None while it is not whole."""
        # Two states: without `head` the end of the headers is sought, with it the body is waited for.
        received, head = connection.received, connection.head
        if head is None:
            end = received.find(b"\r\n\r\n", 0, http.MAX_HEAD_BYTES)
            if end < 0:
                if len(received) >= http.MAX_HEAD_BYTES:
                    raise BadRequest(431, f"headers of at most {http.MAX_HEAD_BYTES} bytes", "more")
                return None
            head = connection.head = self._heads.read(bytes(received[:end]))
            del received[: end + 4]
            if head.expects_continue and len(received) < head.body_bytes:
                self._send(connection, b"HTTP/1.1 100 Continue\r\n\r\n")
        if len(received) < head.body_bytes:
            return None
        body = bytes(received[: head.body_bytes])
        del received[: head.body_bytes]
        connection.head, connection.since, connection.used = None, 0.0, time.monotonic()
        return Request(head=head, body=body)

    def _send(self, connection: Connection, reply: bytes) -> None:
        """Write what the client takes; the rest when it takes more, and nothing is read from it until then."""
        waited = bool(connection.unsent)
        data = bytes(connection.unsent) + reply if waited and reply else reply or connection.unsent
        try:
            sent = connection.socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._close(connection)
            return
        # Three transitions: something is left for the first time (wait for room), all is gone and the client is to
        # leave (close), or the last of what waited is gone (read again). `since` restarts with each of them.
        connection.unsent = memoryview(data)[sent:] if sent < len(data) else b""
        if connection.unsent and not waited:
            connection.since = time.monotonic()
            self._selector.modify(connection.socket, selectors.EVENT_WRITE, connection)
        elif not connection.unsent and connection.closes:
            self._close(connection)
        elif waited and not connection.unsent:
            connection.since = time.monotonic() if connection.received or connection.head else 0.0
            self._selector.modify(connection.socket, selectors.EVENT_READ, connection)

    def _sweep(self, now: float) -> None:
        """Close what stalls and, where no further connection fits, what is idle."""
        is_full = len(self._connections) >= MAX_CONNECTIONS
        for connection in list(self._connections):
            stalls = connection.since and now - connection.since > REQUEST_S
            idles = is_full and not connection.since and now - connection.used > IDLE_S
            if stalls or idles:
                self._close(connection)

    def _close(self, connection: Connection) -> None:
        if connection not in self._connections:
            return
        self._connections.remove(connection)
        self._selector.unregister(connection.socket)
        connection.socket.close()
        if not self._stops:
            self._accept_more(True)
