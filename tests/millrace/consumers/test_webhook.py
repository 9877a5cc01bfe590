"""A webhook is posted to over a real connection: signed, tried again, and believed when it says 2xx."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext, suppress
from threading import Event, Thread
from typing import Any

import pytest
from pydantic import ValidationError

from millrace.consumers.address import connect, is_public
from millrace.consumers.webhook import TIMEOUT_S, Receiver, Webhook
from millrace.errors import ConsumerError
from millrace.names import Platform
from tests import receiver as server

PLATFORM = Platform(stage="local", account="123456789012", region="eu-west-1")
BODY = json.dumps({"decisions": [{"id": "r-0"}]}).encode()


@pytest.fixture
def remote() -> Iterator[server.Receiver]:
    with server.listening(server.Receiver("secret")) as found:
        yield found


def post(url: str, secret: str = "secret", timeout_s: float = TIMEOUT_S) -> None:
    with closing(Receiver(url, lambda: secret, timeout_s=timeout_s, waits=(0.0,) * 3)) as sender:
        sender.post(BODY)


def test_another_secret_or_another_body_is_refused(remote: server.Receiver) -> None:
    with pytest.raises(ConsumerError, match="localhost: expected 2xx, got 401"):
        post(remote.url, "another")
    assert remote.take("1785500000", "v1=00", BODY) == 401
    assert remote.acted == {}


def test_a_new_secret_is_used_when_the_old_one_is_refused(remote: server.Receiver) -> None:
    secrets = ["old", "secret"]
    with closing(Receiver(remote.url, lambda: secrets.pop(0), waits=(0.0, 0.0))) as sender:
        sender.post(BODY)
    assert (list(remote.acted), remote.refused) == (["r-0"], 1)


def test_a_receiver_that_fails_is_tried_again(remote: server.Receiver) -> None:
    remote.down_every = 1
    with pytest.raises(ConsumerError, match="got 503"):
        post(remote.url)
    assert (remote.came, len(remote.acted)) == ({"r-0": 3}, 1)


def test_nobody_who_listens_is_an_error_and_not_a_wait_for_ever(remote: server.Receiver) -> None:
    away = remote.url.replace(remote.url.split(":")[2].split("/")[0], "1")
    with pytest.raises(ConsumerError, match="ConnectionRefusedError"):
        post(away)


def test_decisions_are_posted_some_together(remote: server.Receiver) -> None:
    class Secrets:
        def get_secret_value(self, *, SecretId: str) -> dict[str, str]:
            return {"SecretString": {"crm/signing": "secret"}[SecretId]}

    declared = Webhook(to="webhook", url=remote.url, secret="crm/signing", batch=2, stages=("local",))
    declared.connect(lambda _: Secrets(), PLATFORM)([{"id": f"r-{number}"} for number in range(5)])
    assert (len(remote.acted), remote.requests) == (5, 3)


@contextmanager
def saying(head: bytes, again: bytes, pause_s: float) -> Iterator[str]:
    """The URL of a server that says `head`, and then `again` without an end, with pauses."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    with client, suppress(OSError):
                        client.recv(65536)
                        client.sendall(head)
                        while True:
                            client.sendall(again)
                            stopped.wait(pause_s)

        stopped = Event()
        Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        stopped.set()
        listener.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    ("head", "again"),
    [(b"", b"H"), (b"HTTP/1.1 204 No", b" "), (b"", b"HTTP/1.1 100 Continue\r\n\r\n")],
    ids=["nothing like HTTP", "drip", "100 Continue"],
)
def test_an_answer_without_an_end_ends(head: bytes, again: bytes) -> None:
    """Each read gets its byte in time, so no time-out of a socket ends it."""
    with saying(head, again, pause_s=0.01) as url, pytest.raises(ConsumerError, match="within"):
        post(url, timeout_s=0.2)
    with saying(b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n", b"x" * 65536, pause_s=0) as url:
        post(url)  # of an endless body some bytes are read


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("db.example.com", True),
        ("8.8.8.8", True),
        ("[2a00:1450::1]", True),
        *(
            (host, False)
            for host in (
                "169.254.169.254", "10.0.0.7", "127.0.0.1", "127.1", "0x7f.1", "2130706433", "0177.0.0.1", "0",
                "[::1]", "[::ffff:10.0.0.5]", "[2002:a00:5::1]", "224.0.0.1", "localhost", "localhost.", "db",
                "db.local.", "DB.internal", "metadata.google.internal",
            )
        ),
    ],
)  # fmt: skip
def test_a_target_must_be_in_reach(host: str, expected: bool) -> None:
    """By its name at synth, and by what the name resolves to when it is connected."""
    assert is_public(host.strip("[]")) is expected
    declared: dict[str, Any] = {"to": "webhook", "url": f"https://{host}/decisions", "secret": "crm/signing"}
    with nullcontext() if expected else pytest.raises(ValidationError, match="url"):
        Webhook.model_validate(declared)


def test_a_name_that_resolves_to_an_inner_address_is_not_connected(remote: server.Receiver) -> None:
    with pytest.raises(OSError, match="expected a public address, got"):
        connect("localhost", int(remote.url.split(":")[2].split("/")[0]), timeout_s=1)
    with pytest.raises(ConsumerError, match="expected a public address"):
        post(remote.url.replace("http:", "https:"))
