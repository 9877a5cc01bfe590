"""What a function needs is made at its cold start, and not by its first request."""

from __future__ import annotations

from typing import Any

import boto3
import pytest


@pytest.mark.parametrize("function", ["budget", "cleanup"])
def test_the_first_call_makes_no_client_and_reads_no_declaration(
    function: str, load: Any, event: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler = load(function)

    def refuse(*given: Any, **_: Any) -> None:
        raise AssertionError(f"made by the first request: {given}")

    monkeypatch.setattr(boto3, "client", refuse)
    monkeypatch.setattr("millrace.workload.load.load_workload", refuse)
    handler(event(function))
