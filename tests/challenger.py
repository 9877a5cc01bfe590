"""An endpoint of SageMaker's runtime that speaks HTTP, and answers as a test says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.message import Message

import pytest

from tests.posts import Answer, answering_posts


@contextmanager
def answering(patch: pytest.MonkeyPatch, answer: Callable[[str, bytes], tuple[int, bytes]]) -> Iterator[str]:
    """Within the block `answer` gives status and body to the path and body of each call of an endpoint, and behind them
    the code of an error. Yields its URL."""

    def answered(path: str, _: Message, sent: bytes) -> Answer:
        status, body, *code = answer(path, sent)
        return status, body, {"x-amzn-errortype": code[0]} if any(code) else {}

    with answering_posts(answered) as port:
        url = f"http://localhost:{port}"
        patch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", url)
        yield url
