"""A consumer that is a URL: decisions are posted to it, signed.

    POST /decisions
    millrace-timestamp: 1785500000
    millrace-signature: v1=<HMAC-SHA256 of "1785500000." and the body, hexadecimal>

    {"decisions": [{"id": "r-7-0", "key": {…}, "answer": {…}, "action": "automated", …}]}

A receiver compares the signature, refuses an old timestamp, and acts once for each id."""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from threading import Timer
from typing import Annotated, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import Field, model_validator

from millrace.consumers.address import connect, is_public
from millrace.consumers.consumer import LOOPBACK, Act, Client, Document, Outside
from millrace.errors import ConsumerError, FieldError
from millrace.names import Platform

TIMEOUT_S = 10.0
"""How long a POST may take from the connection to the end of the answer, in seconds."""
MOST_BYTES = 4096
"""The most bytes of an answer's body that are read: its status is what counts."""
WAITS = (0.0, 0.5, 2.0)
"""The seconds before each of three tries. After them the queue waits."""
PASSING = ("401", "403", "408", "425", "429")
"""Refusals of the 4xx that another try may change: the secret is read anew, or the receiver has no time now."""
SECRET_KEPT_S = 300.0
"""How long a secret is kept. A new value is used after so many seconds, and at once if the receiver refuses the old."""


class Webhook(Outside):
    """A URL that takes decisions by POST over HTTPS, signed with a secret that the receiver knows.

    Example: `crm: {to: webhook, url: "https://crm.example.com/decisions", secret: crm/signing}`"""

    to: Literal["webhook"]
    url: str
    """Its host must have a public address. Redirects are not followed. In the stage `local` alone it may be
    `http://localhost:<port>/…`."""
    batch: Annotated[int, Field(ge=1, le=100)] = 100
    """The most decisions in one POST."""

    @model_validator(mode="after")
    def _is_secure(self) -> Webhook:
        check_url("url", self.url, self.stages)
        return self

    def connect(self, client: Client, platform: Platform) -> Act:
        secrets = client("secretsmanager")
        receiver = Receiver(self.url, lambda: secrets.get_secret_value(SecretId=self.secret)["SecretString"])

        def act(documents: Sequence[Document]) -> None:
            try:
                for start in range(0, len(documents), self.batch):
                    body = json.dumps({"decisions": documents[start : start + self.batch]}, separators=(",", ":"))
                    receiver.post(body.encode())
            finally:
                receiver.close()

        return act


def check_url(field: str, url: str, stages: Sequence[str]) -> None:
    """Raise FieldError unless the URL has TLS and a public host, or is of this machine in the stage `local` alone."""
    found, port = urlsplit(url), 0
    with suppress(ValueError):  # `:99999` and `:abc`
        port = 443 if found.port is None else found.port
    is_local = found.scheme == "http" and found.hostname in LOOPBACK and tuple(stages) == ("local",)
    is_remote = found.scheme == "https" and is_public(found.hostname or "")
    if not (is_remote or is_local) or not port or found.username or found.fragment:
        expected = "https://<public host>/<path>; http://localhost:<port>/<path> with stages: [local] alone"
        raise FieldError(field=field, expected=expected, came=url)


def signature(secret: str, timestamp: int, body: bytes) -> str:
    """The header `millrace-signature` of a body that is sent at that time, in seconds since 1970."""
    return f"v1={hmac.new(secret.encode(), f'{timestamp}.'.encode() + body, hashlib.sha256).hexdigest()}"


def reach(url: SplitResult, timeout_s: float) -> socket.socket:
    """A connection to the host of the URL, before any word. Raises OSError for an address that is not public."""
    is_secure = url.scheme == "https"
    # Without TLS it is declared to be of this machine.
    return connect(
        str(url.hostname), url.port or (443 if is_secure else 80), timeout_s=timeout_s, is_inner=not is_secure
    )


def speak(url: SplitResult, reached: socket.socket) -> HTTPConnection:
    """HTTP over that connection, with TLS if the URL has it."""
    host, is_secure = str(url.hostname), url.scheme == "https"
    connection = (HTTPSConnection if is_secure else HTTPConnection)(host, url.port)
    connection.auto_open = 0  # it would connect by itself to whatever the name resolves to then
    connection.sock = ssl.create_default_context().wrap_socket(reached, server_hostname=host) if is_secure else reached
    return connection


class Receiver:
    """The server behind the URL, with a connection that is kept until `close`."""

    def __init__(
        self, url: str, read_secret: Callable[[], str], *, timeout_s: float = TIMEOUT_S, waits: Sequence[float] = WAITS
    ) -> None:
        self._url, self._read_secret, self._waits = urlsplit(url), read_secret, waits
        self._secret, self._read_at, self._timeout_s = "", float("-inf"), timeout_s
        self._connection: HTTPConnection | None = None
        self._handle: socket.socket | None = None
        self._is_cut = False

    def post(self, body: bytes) -> None:
        """Return when the receiver has answered 2xx. Raises ConsumerError after three tries.

        A refusal that another try would not change is not tried again at once."""
        for wait_s in self._waits:
            time.sleep(wait_s)
            if not (came := self._post(body)):
                return
            if came.startswith("4") and not came.startswith(PASSING):
                break
        raise ConsumerError(f"webhook {self._url.hostname}: expected 2xx, got {came}")

    def close(self) -> None:
        """Close the connection; the next POST opens one."""
        for one in (self._connection, self._handle):
            if one:
                one.close()
        self._connection = self._handle = None

    def _post(self, body: bytes) -> str:
        """What came instead of 2xx; empty if nothing did."""
        # The time-out of a socket is one of each read: a byte now and then, or `100 Continue` again and again, would
        # hold this function for as long as it may run.
        end, self._is_cut = Timer(self._timeout_s, self._cut), False
        end.daemon = True
        end.start()
        try:
            self._connection = connection = self._connection or self._connect()
            path = f"{self._url.path or '/'}{'?' if self._url.query else ''}{self._url.query}"
            connection.request("POST", path, body, self._headers(body))
            answer = connection.getresponse()
            answer.read(MOST_BYTES)
            if self._is_cut:
                raise TimeoutError  # half an answer may look like one
        except (HTTPException, OSError) as error:
            self.close()
            return f"no answer within {self._timeout_s:g} s" if self._is_cut else f"{type(error).__name__}: {error}"
        finally:
            end.cancel()
        # A connection with more to read, or one that the receiver ends, is not used again.
        if not answer.isclosed() or answer.will_close:
            self.close()
        if answer.status in (401, 403):
            self._read_at = float("-inf")
        return "" if 200 <= answer.status < 300 else f"{answer.status} {answer.reason}"

    def _headers(self, body: bytes) -> dict[str, str]:
        now = time.time()
        if now - self._read_at >= SECRET_KEPT_S:
            self._secret, self._read_at = self._read_secret(), now
        return {
            "content-type": "application/json",
            "millrace-timestamp": str(int(now)),
            "millrace-signature": signature(self._secret, int(now), body),
        }

    def _connect(self) -> HTTPConnection:
        reached = reach(self._url, self._timeout_s)
        self._handle = reached.dup()
        return speak(self._url, reached)

    def _cut(self) -> None:
        """End the exchange, in TLS's handshake too: a copy of the socket's handle shuts the same connection."""
        self._is_cut = True
        with suppress(OSError):
            if self._handle:
                self._handle.shutdown(socket.SHUT_RDWR)
