"""The address of a worker: its client gets the event, a web page does not."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator

import pytest

from localcloud.awslambda.runtime_api import PREFIX, Invocation, RuntimeApi


@pytest.fixture
def api() -> Iterator[RuntimeApi]:
    def background(_: str, serve: Callable[[], None]) -> None:
        threading.Thread(target=serve, daemon=True).start()

    api = RuntimeApi(background)
    yield api
    api.close()


@pytest.mark.parametrize("headers", [{"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}])
def test_a_page_takes_no_event_and_answers_none(api: RuntimeApi, headers: dict[str, str]) -> None:
    invocation = Invocation(request_id="1", function_arn="arn", payload=b"{}", timeout_s=1.0)
    api.give(invocation)
    url = f"http://{api.address}{PREFIX}invocation/"
    for request in (
        urllib.request.Request(f"{url}next", headers=headers),
        urllib.request.Request(f"{url}1/response", b"{}", headers),
    ):
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(request, timeout=5)
    assert not invocation.taken.is_set()
    with urllib.request.urlopen(f"{url}next", timeout=5) as answer:
        assert answer.read() == b"{}", "the control: the worker's own client"
