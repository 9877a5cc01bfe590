"""The server's loop with an application that only counts: limits, patience, large answers."""

from __future__ import annotations

import os
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from millrace.jobs.serving import server as module
from millrace.jobs.serving.server import Server, listen
from millrace.serving.http import BadRequest, Heads, Request, Response


class Counting:
    """Answers with as many bytes as asked for, and remembers how many requests each turn had."""

    def __init__(self, answer_bytes: int = 2, pause_s: float = 0.0) -> None:
        self.answer_bytes, self.pause_s = answer_bytes, pause_s
        self.turns: list[int] = []

    def answer(self, requests: Sequence[Request]) -> list[Response]:
        self.turns.append(len(requests))
        time.sleep(self.pause_s)
        return [Response(status=200, body=b"x" * self.answer_bytes) for _ in requests]

    def refuse(self, bad: BadRequest) -> Response:
        return Response(status=bad.status, body=b"")


class Then(Counting):
    """Does something while it answers, once it was asked so many requests."""

    def __init__(self, asked: int, do: Callable[[], None]) -> None:
        super().__init__()
        self._asked, self._do = asked, do

    def answer(self, requests: Sequence[Request]) -> list[Response]:
        answers = super().answer(requests)
        if sum(self.turns) == self._asked:
            self._do()
        return answers


class CountedListener(socket.socket):
    """Counts how often the server has tried to accept a client."""

    tries = 0

    def accept(self) -> tuple[socket.socket, Any]:
        self.tries += 1
        return super().accept()


@pytest.fixture
def limit_descriptors() -> Iterator[Callable[[int], None]]:
    """Sets how many files this process may have open; the limit is put back behind the test."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield lambda most: resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def next_descriptor() -> int:
    """The number that the next file has which this process opens."""
    number = os.dup(0)
    os.close(number)
    return number


@contextmanager
def serving(application: Counting, listener: socket.socket | None = None) -> Iterator[int]:
    listener = listener or listen("127.0.0.1", 0)
    port: int = listener.getsockname()[1]
    server = Server(listener, application, Heads(max_body_bytes=1000))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield port
    finally:
        server.stop()
        thread.join(10)
        assert not thread.is_alive()


def connect(port: int, receive_bytes: int | None = None) -> socket.socket:
    client = socket.socket()
    if receive_bytes:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    client.settimeout(10)
    client.connect(("127.0.0.1", port))
    return client


PING = b"GET /ping HTTP/1.1\r\n\r\n"
OK = b"HTTP/1.1 200"


def read_all(client: socket.socket, bytes_expected: int) -> int:
    count = 0
    while count < bytes_expected and (data := client.recv(1 << 20)):
        count += len(data)
    return count


def read_to_end(client: socket.socket) -> bytes:
    return b"".join(iter(lambda: client.recv(1 << 20), b""))


@pytest.mark.parametrize("turn_requests", [2, 32])
def test_answers_that_the_client_takes_slowly_arrive_whole(monkeypatch: pytest.MonkeyPatch, turn_requests: int) -> None:
    monkeypatch.setattr(module, "TURN_REQUESTS", turn_requests)
    size = 8_000_000
    head = len(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 8000000\r\n\r\n")
    with serving(Counting(size)) as port, connect(port, 65536) as slow, connect(port) as other:
        slow.sendall(PING * 5)
        other.sendall(PING)
        assert read_all(other, size + head) == size + head
        assert read_all(slow, 5 * (size + head)) == 5 * (size + head)


@pytest.mark.parametrize("first", [b"", PING])
@pytest.mark.parametrize("part", [b"", PING[:-1], b"POST /invocations HTTP/1.1\r\nContent-Length: 10\r\n\r\n"])
def test_a_client_that_never_ends_its_request_is_sent_away(
    monkeypatch: pytest.MonkeyPatch, first: bytes, part: bytes
) -> None:
    """Be it the first of its connection, or the second; one that is between two requests may stay."""
    monkeypatch.setattr(module, "REQUEST_S", 0.2)
    monkeypatch.setattr(module, "SWEEP_S", 0.05)
    with serving(Counting()) as port, connect(port) as client, connect(port) as idle:
        for one in (idle, client) if first else (idle,):
            one.sendall(PING)
            assert one.recv(1000).startswith(OK)
        if part or not first:
            client.sendall(part)
            assert client.recv(10) == b""
        idle.sendall(PING)
        assert idle.recv(1000).startswith(OK)


def test_requests_that_wait_are_answered_together() -> None:
    counting = Counting(pause_s=0.1)
    with serving(counting) as port:
        clients = [connect(port) for _ in range(9)]
        for client in clients:
            client.sendall(PING)
            client.recv(1000)  # accepted
        counting.turns.clear()
        for client in clients:
            client.sendall(PING)
        for client in clients:
            client.recv(1000)
            client.close()
    assert sum(counting.turns) == 9
    assert len(counting.turns) <= 4


def test_a_stop_does_not_wait_for_those_who_never_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DRAIN_S", 0.2)
    monkeypatch.setattr(module, "SWEEP_S", 0.05)
    with serving(Counting()) as port:
        stalling = connect(port)
        stalling.sendall(PING[:-1])
        time.sleep(0.05)
        began = time.monotonic()
    assert time.monotonic() - began < 5
    stalling.close()


def test_one_that_stays_without_a_request_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "IDLE_S", 0.2)
    monkeypatch.setattr(module, "SWEEP_S", 0.05)
    monkeypatch.setattr(module, "MAX_CONNECTIONS", 1)
    with serving(Counting()) as port, connect(port) as idle, connect(port) as other:
        idle.sendall(PING)
        assert idle.recv(1000).startswith(b"HTTP/1.1 200")
        other.sendall(PING)
        assert other.recv(1000).startswith(b"HTTP/1.1 200")
        assert idle.recv(10) == b""


def test_good_requests_before_garbage_are_answered() -> None:
    with serving(Counting()) as port, connect(port) as client:
        client.sendall(PING * 3 + b"garbage\r\n\r\n")
        answers = read_to_end(client)
    assert [answers.count(status) for status in (b"HTTP/1.1 200", b"HTTP/1.1 400")] == [3, 1]
    assert answers.index(b"HTTP/1.1 400") > answers.rindex(b"HTTP/1.1 200")


def test_one_that_sends_without_pause_has_few_requests_in_a_turn() -> None:
    counting = Counting()
    with serving(counting) as port, connect(port) as client:
        client.sendall(PING * 1000)
        client.shutdown(socket.SHUT_WR)
        assert read_to_end(client).count(OK) == 1000
    assert max(counting.turns) == module.TURN_REQUESTS
    assert sum(counting.turns) == 1000


@pytest.mark.parametrize(("limit", "value"), [("MAX_CONNECTIONS", 2), ("RESERVED_DESCRIPTORS", 1022)])
def test_clients_above_the_limit_or_that_of_descriptors_wait_until_one_leaves(
    limit: str, value: int, monkeypatch: pytest.MonkeyPatch, limit_descriptors: Callable[[int], None]
) -> None:
    monkeypatch.setattr(module, limit, value)
    limit_descriptors(1024)
    with serving(Counting()) as port, connect(port) as first, connect(port) as second, connect(port) as third:
        for client in (first, second, third):
            client.sendall(PING)
        assert first.recv(1000).startswith(OK)
        assert second.recv(1000).startswith(OK)
        third.settimeout(0.2)
        with pytest.raises(TimeoutError):
            third.recv(1000)
        second.close()
        third.settimeout(10)
        assert third.recv(1000).startswith(OK)


def test_without_a_descriptor_the_loop_waits_and_makes_room(
    monkeypatch: pytest.MonkeyPatch, limit_descriptors: Callable[[int], None]
) -> None:
    monkeypatch.setattr(module, "IDLE_S", 0.2)
    monkeypatch.setattr(module, "SWEEP_S", 0.05)
    listener = CountedListener(fileno=listen("127.0.0.1", 0).detach())
    with serving(Counting(), listener) as port, connect(port) as idle, socket.socket() as other:
        idle.sendall(PING)
        assert idle.recv(1000).startswith(OK)
        limit_descriptors(next_descriptor())
        other.settimeout(10)
        other.connect(("127.0.0.1", port))
        other.sendall(PING)
        assert idle.recv(10) == b""
        assert other.recv(1000).startswith(OK)
    assert listener.tries < 100


def test_a_server_without_clients_accepts_again_once_descriptors_are_free(
    monkeypatch: pytest.MonkeyPatch, limit_descriptors: Callable[[int], None]
) -> None:
    monkeypatch.setattr(module, "SWEEP_S", 0.05)
    listener = CountedListener(fileno=listen("127.0.0.1", 0).detach())
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    with serving(Counting(), listener) as port, socket.socket() as client:
        limit_descriptors(next_descriptor())
        client.settimeout(10)
        client.connect(("127.0.0.1", port))
        client.sendall(PING)
        while not listener.tries:
            time.sleep(0.01)
        limit_descriptors(soft)
        assert client.recv(1000).startswith(OK)


def test_what_has_arrived_before_a_stop_is_answered() -> None:
    """On connections that are open, also many requests at once, and on one that was not accepted yet."""
    listener = listen("127.0.0.1", 0)
    port = listener.getsockname()[1]
    with connect(port) as one, connect(port) as many, connect(port) as third, ExitStack() as stack:
        clients = [one, many]

        def send_and_stop() -> None:
            clients.append(stack.enter_context(connect(port)))
            for client, count in zip(clients, (1, 100, 1), strict=True):
                client.sendall(PING * count)
            server.stop()

        server = Server(listener, Then(3, send_and_stop), Heads(max_body_bytes=1000))
        for client in (one, many, third):
            client.sendall(PING)
        server.run()
        received = [read_to_end(client) for client in clients]
    assert [answers.count(OK) for answers in received] == [2, 101, 1]
    # Only the last answer to each client says that the connection is closed.
    assert [answers.count(b"connection: close") for answers in received] == [1, 1, 1]
    assert received[1].rindex(b"connection: close") > received[1].rindex(OK)


def test_a_client_is_told_to_go_on_behind_the_answers_before() -> None:
    request = b"POST /invocations HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\nConnection: close\r\n\r\n"
    with serving(Counting()) as port, connect(port) as client:
        client.sendall(PING + request)
        received = b""
        while b" 100 Continue\r\n\r\n" not in received:
            received += client.recv(1000)
        client.sendall(b"abc")
        received += read_to_end(client)
    assert [line for line in received.split(b"\r\n") if b"HTTP/1.1 " in line] == [
        b"HTTP/1.1 200 OK",
        b"xxHTTP/1.1 100 Continue",
        b"HTTP/1.1 200 OK",
    ]


def test_an_answer_to_head_has_no_body() -> None:
    with serving(Counting()) as port, connect(port) as client:
        client.sendall(b"HEAD /ping HTTP/1.1\r\nConnection: close\r\n\r\n")
        assert read_to_end(client).endswith(b"content-length: 2\r\nconnection: close\r\n\r\n")
