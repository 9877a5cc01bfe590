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
import time
from collections.abc import Callable, Sequence
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from millrace.consumers.consumer import LOOPBACK, Act, Client, Consumer, Document, Right, Secret
from millrace.errors import ConsumerError, FieldError
from millrace.names import Platform

TIMEOUT_S = 10
"""How long a receiver may take for an answer, in seconds."""
WAITS_S = (0.5, 2.0)
"""The waits between three tries. After them the queue waits."""
SECRET_KEPT_S = 300.0
"""How long a secret is kept. A new value is used after so many seconds, and at once if the receiver refuses the old."""


class Webhook(Consumer):
    """A URL that takes decisions by POST over HTTPS, signed with a secret that the receiver knows.

    Example: `crm: {to: webhook, url: "https://crm.example.com/decisions", secret: crm/signing}`"""

    to: Literal["webhook"]
    url: str
    """Redirects are not followed. In the stage `local` alone it may be `http://localhost:<port>/…`."""
    secret: Secret
    """The name of the secret that signs, in Secrets Manager."""
    batch: Annotated[int, Field(ge=1, le=100)] = 100
    """The most decisions in one POST."""

    @model_validator(mode="after")
    def _is_secure(self) -> Webhook:
        found = urlsplit(self.url)
        is_local = found.scheme == "http" and found.hostname in LOOPBACK and self.stages == ("local",)
        if not ((found.scheme == "https" and found.hostname) or is_local) or found.username or found.fragment:
            expected = "https://<host>/<path>; http://localhost:<port>/<path> with stages: [local] alone"
            raise FieldError(field="url", expected=expected, came=self.url)
        return self

    def rights(self, platform: Platform) -> tuple[Right, ...]:
        return self.may_read_secret(self.secret, platform)

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


def signature(secret: str, timestamp: int, body: bytes) -> str:
    """The header `millrace-signature` of a body that is sent at that time, in seconds since 1970."""
    return f"v1={hmac.new(secret.encode(), f'{timestamp}.'.encode() + body, hashlib.sha256).hexdigest()}"


class Receiver:
    """The server behind the URL, with a connection that is kept until `close`."""

    def __init__(
        self,
        url: str,
        read_secret: Callable[[], str],
        *,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`clock` gives the seconds since 1970: the timestamp of a signature is that of its sending."""
        self._url, self._read_secret, self._clock, self._sleep = urlsplit(url), read_secret, clock, sleep
        self._secret, self._read_at = "", float("-inf")
        self._connection: HTTPConnection | None = None

    def post(self, body: bytes) -> None:
        """Return when the receiver has answered 2xx. Raises ConsumerError after three tries.

        A refusal that another try would not change (4xx) is not tried again at once."""
        for wait_s in (*WAITS_S, None):
            came, passes = self._post(body)
            if not came:
                return
            if wait_s is None or not passes:
                break
            self._sleep(wait_s)
        raise ConsumerError(f"webhook {self._url.hostname}: expected 2xx, got {came}")

    def close(self) -> None:
        """Close the connection; the next POST opens one."""
        if self._connection:
            self._connection.close()
        self._connection = None

    def _post(self, body: bytes) -> tuple[str, bool]:
        """What came instead of 2xx, empty if nothing did, and whether another try may change it."""
        connection = self._connection or self._connect()
        self._connection = None
        try:
            path = f"{self._url.path or '/'}{'?' if self._url.query else ''}{self._url.query}"
            connection.request("POST", path, body, self._headers(body))
            answer = connection.getresponse()
            answer.read()
        except (HTTPException, OSError) as error:
            connection.close()
            return f"{type(error).__name__}: {error}", True
        # A connection on which something went wrong is not used again.
        self._connection = connection
        if 200 <= answer.status < 300:
            return "", False
        if answer.status in (401, 403):
            self._read_at = float("-inf")
        return f"{answer.status} {answer.reason}", answer.status in (401, 403, 408, 425, 429) or answer.status >= 500

    def _headers(self, body: bytes) -> dict[str, str]:
        now = self._clock()
        if now - self._read_at >= SECRET_KEPT_S:
            self._secret, self._read_at = self._read_secret(), now
        return {
            "content-type": "application/json",
            "millrace-timestamp": str(int(now)),
            "millrace-signature": signature(self._secret, int(now), body),
        }

    def _connect(self) -> HTTPConnection:
        kind = HTTPSConnection if self._url.scheme == "https" else HTTPConnection
        return kind(str(self._url.hostname), self._url.port, timeout=TIMEOUT_S)
