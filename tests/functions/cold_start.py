"""Handlers as Lambda has them after a cold start: imported anew, with the function's variables."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from millrace.names import WorkloadNames
from tests.credentials import KEYS
from tests.millrace.state.conftest import NAMES

Handler = Callable[[dict[str, Any]], dict[str, Any]]
CONTEXT = SimpleNamespace(
    aws_request_id="8f507cfc-1d2d-4a1d-9a4f-0d2a4c2f6c1b",
    function_name="function",
    memory_limit_in_mb=512,
    invoked_function_arn="arn:aws:lambda:eu-west-1:123456789012:function:function",
    get_remaining_time_in_millis=lambda: 30_000,
)


def variables(names: WorkloadNames = NAMES, **more: str) -> dict[str, str]:
    """The variables of every function, and `more`; credentials that no service of AWS's takes."""
    return {
        **KEYS,
        "AWS_DEFAULT_REGION": names.platform.region,
        "POWERTOOLS_SERVICE_NAME": names.workload,
        "POWERTOOLS_METRICS_NAMESPACE": names.platform.metrics,
        "MILLRACE_STAGE": names.platform.stage,
        "MILLRACE_ACCOUNT": names.platform.account,
        "MILLRACE_REGION": names.platform.region,
        "MILLRACE_WORKLOAD": names.workload,
        "MILLRACE_APPROVAL": "none",
        **more,
    }


def set_variables(monkeypatch: pytest.MonkeyPatch, *, names: WorkloadNames = NAMES, **more: str) -> None:
    for name, value in variables(names, **more).items():
        monkeypatch.setenv(name, value)


@contextmanager
def cold_starts() -> Iterator[Callable[[str], Handler]]:
    """In the block, `start("budget")` imports that function's handler anew; behind it none is left imported."""
    started: list[str] = []

    def start(function: str) -> Handler:
        name = f"millrace.functions.{function}.handler"
        sys.modules.pop(name, None)
        started.append(name)
        module = importlib.import_module(name)
        return lambda event: module.handler(event, CONTEXT)

    try:
        yield start
    finally:
        for name in started:
            sys.modules.pop(name, None)
