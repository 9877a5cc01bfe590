"""A receiver of decisions on loopback, as a team would write it: signature, age, one action for each id.

docs/review.md shows `Receiver.take`."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.message import Message
from threading import Lock
from typing import Any

from tests.posts import Answer, answering_posts


class Receiver:
    """Acts on decisions, except when it is down: for every `down_every`-th request it takes the body, then fails."""

    def __init__(self, secret: str, *, down_every: int = 0) -> None:
        self.secret, self.down_every = secret, down_every
        self.acted: dict[str, dict[str, Any]] = {}
        """What was done, by id."""
        self.came: Counter[str] = Counter()
        self.requests, self.refused = 0, 0
        self.url = ""
        self.clock: Callable[[], float] = time.time
        """The seconds since 1970. Decisions of a local cloud are signed by its clock."""
        self._lock = Lock()

    def take(self, timestamp: str, signature: str, body: bytes) -> int:
        """The status of the answer to a POST."""
        expected = hmac.new(self.secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(f"v1={expected}", signature) or abs(self.clock() - int(timestamp)) > 300:
            self.refused += 1
            return 401
        with self._lock:
            self.requests += 1
            for decision in json.loads(body)["decisions"]:
                self.came[decision["id"]] += 1
                self.acted.setdefault(decision["id"], decision)
            # The worst way to be down: all is done, and the sender does not learn it.
            return 503 if self.down_every and self.requests % self.down_every == 0 else 204


@contextmanager
def listening(receiver: Receiver) -> Iterator[Receiver]:
    """The receiver at `receiver.url` for as long as the block runs."""

    def answer(_: str, headers: Message, body: bytes) -> Answer:
        return receiver.take(headers["millrace-timestamp"], headers["millrace-signature"], body), b"", {}

    with answering_posts(answer) as port:
        receiver.url = f"http://localhost:{port}/decisions"
        yield receiver
