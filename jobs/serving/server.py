"""The HTTP server of the serving container: one thread, one loop over all connections.

Each turn of the loop reads from all clients that have sent something, answers all requests that are complete in one
pass of the model, and writes the answers. So load makes the passes larger, and nobody waits for a batch to fill. A
client that is slow, stalls or sends garbage costs only its own connection. One that sends many requests without pause
has a few of them answered in each turn.

A connection is in one of three states, told by two of its fields:

    head     unsent    the loop waits for                    registered for
    None     empty     the end of a request's headers        EVENT_READ
    Head     empty     the rest of the request's body        EVENT_READ
    either   bytes     room to write the rest of an answer   EVENT_WRITE; nothing is read meanwhile
"""

from __future__ import annotations

import errno
import resource
import selectors
import signal
import socket
import time
from collections.abc import Sequence
from itertools import islice
from typing import Protocol

from millrace.serving import http
from millrace.serving.http import BadRequest, Head, Heads, Request, Response
from millrace.serving.settings import Settings

READ_BYTES = 64 * 1024
"""The most bytes that one turn reads from one client. malloc may map blocks from 128 KiB on anew at each read, which
takes six times as long as the read."""
TURN_REQUESTS = 32
"""The most requests of one client that one turn answers. What else it has sent waits for the next turns."""
MAX_CONNECTIONS = 1024
"""The most clients of one worker process. A low limit of file descriptors makes them fewer."""
RESERVED_DESCRIPTORS = 64
"""File descriptors of a process that are left for everything but its clients: the model, the selector, imports."""
REQUEST_S = 60.0
"""Seconds after which a request that is not whole is given up, and an answer that the client does not take.

A new connection must bring its first request in this time too. SageMaker gives up after this time as well."""
IDLE_S = 10.0
"""If no further connection fits, a connection makes room so many seconds after its last request was whole."""
DRAIN_S = 20.0
"""For so many seconds after SIGTERM, requests under way are still answered. SIGKILL comes after 30 s."""
SWEEP_S = 1.0
"""Seconds between two looks for stalled and idle connections, and the longest wait of a turn."""
SECOND = "/v2"
"""Where the paths of a second protocol begin."""
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
"""The system has no descriptor or memory for a further connection. The client goes on waiting at the listener."""


class Answering(Protocol):
    """What the server needs of an application. Neither method may raise."""

    def answer(self, requests: Sequence[Request]) -> list[Response]:
        """One answer for each request, in their order."""
        ...

    def refuse(self, bad: BadRequest) -> Response:
        """The answer to bytes that are no HTTP request."""
        ...


class Connection:
    """A client: what it has sent and is not answered, and what it is to get and has not taken."""

    __slots__ = ("behind", "closes", "head", "received", "since", "socket", "unsent", "used")

    def __init__(self, client: socket.socket) -> None:
        self.socket = client
        self.received = bytearray()
        """Bytes that came and belong to no request yet."""
        self.unsent: bytes | memoryview = b""
        """The rest of an answer, for which the client's socket had no room."""
        self.head: Head | None = None
        """The head of the request whose body is waited for."""
        self.closes = False
        """Whether the connection is closed once all is written."""
        self.behind = b""
        """Written behind the answers of this turn: the refusal of garbage, or `100 Continue` for the next request."""
        self.since = time.monotonic()
        """When the request or the answer under way began, by the monotonic clock in seconds; 0 if none is under way.

        At first it is when the client came."""
        self.used = 0.0
        """When the last request was whole, by the same clock."""


def listen(bind: str, port: int) -> socket.socket:
    """The socket from which all workers accept connections."""
    listener = socket.create_server((bind, port), backlog=1024)
    listener.setblocking(False)
    return listener


def serve(listener: socket.socket, application: Answering, settings: Settings, second: Answering) -> None:
    """Answer until SIGTERM, then finish what has been begun. To be called in the main thread."""
    server = Server(listener, application, Heads(settings.max_body_bytes), second)
    signal.signal(signal.SIGTERM, lambda _number, _frame: server.stop())
    server.run()


class Server:
    """The loop and its connections."""

    def __init__(
        self, listener: socket.socket, application: Answering, heads: Heads, second: Answering | None = None
    ) -> None:
        """`second` answers the turns that have a request for a path below SECOND."""
        self._listener, self._application, self._heads = listener, application, heads
        self._second = second or application
        self._selector = selectors.DefaultSelector()
        self._connections: set[Connection] = set()
        self._more: set[Connection] = set()
        """Clients that had TURN_REQUESTS requests in the last turn, and bytes of another one."""
        self._most_connections = _most_connections()
        self._accepts = self._stops = False
        # A byte on this pair ends the wait in `select`. A signal alone would not: the wait goes on after its handler.
        self._wake, self._woken = socket.socketpair()

    def stop(self) -> None:
        """Take no new connections. `run` returns once all requests under way are answered.

        May be called from a signal handler or another thread."""
        self._stops = True
        self._wake.send(b"x")

    def run(self) -> None:
        """Answer requests; return once `stop` was called and the connections are drained."""
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._accept_more(True)
        swept = time.monotonic()
        while not self._stops:
            self._turn(SWEEP_S)
            if (now := time.monotonic()) - swept > SWEEP_S:
                swept = now
                self._sweep(now)
        self._drain(time.monotonic() + DRAIN_S)

    def _drain(self, until: float) -> None:
        """Finish what is under way, until the clock shows `until` at most; then close everything."""
        # A last look at what has arrived: clients that wait at the listener, and requests that wait in the kernel.
        while self._accept():
            pass
        self._accept_more(False)
        self._listener.close()
        self._selector.unregister(self._woken)
        self._turn(0)
        # Clients without a request under way go at once. The others get their answer with `connection: close`, which
        # `_reply` writes as soon as `_stops` is set.
        for connection in [one for one in self._connections if not (one.received or one.head or one.unsent)]:
            self._close(connection)
        while self._connections and time.monotonic() < until:
            self._turn(SWEEP_S)
        for connection in list(self._connections):
            self._close(connection)
        self._selector.close()
        self._wake.close()
        self._woken.close()

    def _accept_more(self, wanted: bool) -> None:
        """Wait for new clients, or no longer."""
        if wanted and not self._accepts:
            self._selector.register(self._listener, selectors.EVENT_READ)
        elif self._accepts and not wanted:
            self._selector.unregister(self._listener)
        self._accepts = wanted

    def _turn(self, wait_s: float) -> None:
        """One turn of the loop: read, answer, write. It waits for `wait_s` at most until there is something to do."""
        # First read from everybody who has sent something. Nothing is read from those with requests of the last turn.
        asking = [one for one in self._more if not one.unsent]
        for key, events in self._selector.select(0 if asking else wait_s):
            connection = key.data
            # Only clients are registered with a connection: without one it is the listener, or the byte that wakes.
            if connection is None:
                self._accept() if key.fileobj is self._listener else self._woken.recv(64)
            elif events & selectors.EVENT_WRITE:
                self._send(connection, b"")
            elif connection not in self._more and self._receive(connection):
                asking.append(connection)
        found = {connection: requests for connection in asking if (requests := self._take(connection))}
        if not found:
            return
        # Then all requests go through the model in one pass.
        every = [request for requests in found.values() for request in requests]
        is_second = any(request.head.path.startswith(SECOND) for request in every)
        answers = iter((self._second if is_second else self._application).answer(every))
        for connection, requests in found.items():
            self._reply(connection, requests, list(islice(answers, len(requests))))

    def _accept(self) -> bool:
        """Take one client of those that wait at the listener. False if none waits, or no further one fits."""
        # At the limit the others wait in the kernel's backlog, or another worker takes them. `_close` and `_sweep`
        # start to accept again.
        if len(self._connections) >= self._most_connections:
            self._accept_more(False)
            return False
        try:
            client, _ = self._listener.accept()
        except OSError as error:
            # Without a descriptor the listener stays readable: to go on accepting would be a loop without a pause.
            # Else another worker was faster, or the client has gone.
            if error.errno in EXHAUSTED:
                self._accept_more(False)
            return False
        client.setblocking(False)
        # A small answer leaves at once: the kernel does not wait for more to send with it.
        if client.family in (socket.AF_INET, socket.AF_INET6):
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = Connection(client)
        self._connections.add(connection)
        self._selector.register(client, selectors.EVENT_READ, connection)
        return True

    def _receive(self, connection: Connection) -> bool:
        """Read from a client, and return whether something came. One that has ended the connection is closed."""
        # No bytes mean that the client has ended the connection, and an error is taken as such an end.
        try:
            data = connection.socket.recv(READ_BYTES)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            self._close(connection)
        connection.received += data
        return bool(data)

    def _take(self, connection: Connection) -> list[Request]:
        """The next requests of a client that are whole, TURN_REQUESTS at most. Garbage is refused here."""
        # Cut off one request after the other, up to one that closes the connection: what follows it gets no answer.
        # A client may have sent several of them (pipelining).
        self._more.discard(connection)
        found: list[Request] = []
        stays = True
        try:
            while stays and len(found) < TURN_REQUESTS and (request := self._cut(connection)):
                found.append(request)
                stays = request.head.keep_alive
        except BadRequest as bad:
            refusal = self._application.refuse(bad)
            connection.closes = True
            connection.behind = http.write(refusal.status, refusal.body, refusal.content_type, keep_alive=False)
        # Good requests in front are answered first; `_reply` writes what comes behind their answers.
        if connection.behind and not found:
            self._reply(connection, [], [])
        if connection.closes:
            return found
        if connection.received and stays and len(found) == TURN_REQUESTS:
            self._more.add(connection)
        # The next request has begun and is not whole: from now on it has REQUEST_S.
        # Its head may be whole without a byte of its body: then nothing is left in `received`.
        if (connection.received or connection.head) and not connection.since:
            connection.since = time.monotonic()
        return found

    def _cut(self, connection: Connection) -> Request | None:
        """Cut the next request off the received bytes; None while it is not whole."""
        # Without `head` the end of the headers is sought. With it the body is waited for, in this call or a later one.
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
                connection.behind = CONTINUE
        if len(received) < head.body_bytes:
            return None
        body = bytes(received[: head.body_bytes])
        del received[: head.body_bytes]
        connection.head, connection.since, connection.used = None, 0.0, time.monotonic()
        return Request(head=head, body=body)

    def _reply(self, connection: Connection, requests: Sequence[Request], answers: Sequence[Response]) -> None:
        """Write a client's answers of this turn, in the order of its requests, and what comes behind them."""
        # Only the last request can be one that closes the connection. When the server stops, the last one that has
        # arrived closes it too.
        ends = self._stops and connection not in self._more
        written: list[bytes] = []
        for place, (request, answer) in enumerate(zip(requests, answers, strict=True), 1):
            keep_alive = request.head.keep_alive and not (ends and place == len(requests))
            connection.closes |= not keep_alive
            has_body = request.head.method != "HEAD"
            written.append(
                http.write(answer.status, answer.body, answer.content_type, keep_alive=keep_alive, has_body=has_body)
            )
        behind, connection.behind = connection.behind, b""
        self._send(connection, b"".join([*written, behind]))

    def _send(self, connection: Connection, reply: bytes) -> None:
        """Write what the client takes now. The rest waits in `unsent`, and nothing is read from the client until then.

        An empty `reply` only writes what waits."""
        # What waits comes first. Usually nothing does, or there is no reply: then nothing is copied.
        waited = bool(connection.unsent)
        data = bytes(connection.unsent) + reply if waited and reply else reply or connection.unsent
        try:
            sent = connection.socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._close(connection)
            return
        # Three transitions. Something is left for the first time: wait for room. All is gone and the client is to
        # leave: close. The last of what waited is gone: read again. The first and the last set `since` anew, because
        # another answer or request is under way then.
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
        """Close connections that stall and, if a client waits that does not fit, those that are idle."""
        is_full = not self._accepts
        # `since` is 0 while nothing is under way: such a connection cannot stall, but it can be idle.
        for connection in list(self._connections):
            stalls = connection.since and now - connection.since > REQUEST_S
            idles = is_full and not connection.since and now - connection.used > IDLE_S
            if stalls or idles:
                self._close(connection)
        # Another process may have freed what the system had run out of.
        self._accept_more(True)

    def _close(self, connection: Connection) -> None:
        # It may be closed already, by another write of the same turn.
        if connection not in self._connections:
            return
        self._connections.remove(connection)
        self._more.discard(connection)
        self._selector.unregister(connection.socket)
        connection.socket.close()
        # There is room for one more client again.
        if not self._stops:
            self._accept_more(True)


def _most_connections() -> int:
    """The most clients of this process: MAX_CONNECTIONS, or fewer if it may not open so many files."""
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if descriptors == resource.RLIM_INFINITY:
        return MAX_CONNECTIONS
    return max(1, min(MAX_CONNECTIONS, descriptors - RESERVED_DESCRIPTORS))
