"""A webhook is posted to over a real connection: signed, tried again, and believed when it says 2xx."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing

import pytest

from millrace.consumers.webhook import WAITS_S, Receiver, Webhook
from millrace.errors import ConsumerError
from millrace.names import Platform
from tests import receiver as server

PLATFORM = Platform(stage="local", account="123456789012", region="eu-west-1")
BODY = json.dumps({"decisions": [{"id": "r-0"}]}).encode()


@pytest.fixture
def remote() -> Iterator[server.Receiver]:
    with server.listening(server.Receiver("secret")) as found:
        yield found


def post(url: str, secrets: list[str], waited: list[float]) -> None:
    """The sender reads the first of the secrets, then the next; the last one stays."""
    sender = Receiver(url, lambda: secrets.pop(0) if len(secrets) > 1 else secrets[0], sleep=waited.append)
    with closing(sender):
        sender.post(BODY)


def test_a_signed_post_is_taken_at_once(remote: server.Receiver) -> None:
    waited: list[float] = []
    post(remote.url, ["secret"], waited)
    assert (list(remote.acted), remote.refused, waited) == (["r-0"], 0, [])


def test_another_secret_or_another_body_is_refused(remote: server.Receiver) -> None:
    with pytest.raises(ConsumerError, match="localhost: expected 2xx, got 401"):
        post(remote.url, ["another"], [])
    assert remote.take("1785500000", "v1=00", BODY) == 401
    assert remote.acted == {}


def test_a_new_secret_is_used_when_the_old_one_is_refused(remote: server.Receiver) -> None:
    post(remote.url, ["old", "secret"], [])
    assert (list(remote.acted), remote.refused) == (["r-0"], 1)


def test_a_receiver_that_fails_is_tried_again(remote: server.Receiver) -> None:
    remote.down_every, waited = 1, list[float]()
    with pytest.raises(ConsumerError, match="got 503"):
        post(remote.url, ["secret"], waited)
    assert waited == list(WAITS_S)
    assert remote.came == {"r-0": 3}
    assert len(remote.acted) == 1


def test_nobody_who_listens_is_an_error_and_not_a_wait_for_ever(remote: server.Receiver) -> None:
    away = remote.url.replace(remote.url.split(":")[2].split("/")[0], "1")
    with pytest.raises(ConsumerError, match="ConnectionRefusedError"):
        post(away, ["secret"], [])


def test_decisions_are_posted_some_together(remote: server.Receiver) -> None:
    class Secrets:
        def get_secret_value(self, *, SecretId: str) -> dict[str, str]:
            return {"SecretString": {"crm/signing": "secret"}[SecretId]}

    declared = Webhook(to="webhook", url=remote.url, secret="crm/signing", batch=2, stages=("local",))
    declared.connect(lambda _: Secrets(), PLATFORM)([{"id": f"r-{number}"} for number in range(5)])
    assert (len(remote.acted), remote.requests) == (5, 3)
