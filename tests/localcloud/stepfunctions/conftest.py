"""Machines, and what becomes of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.localcloud.resources import Resources


@pytest.fixture
def states(aws: Resources) -> Any:
    return aws.client("stepfunctions")


@pytest.fixture
def machine(aws: Resources) -> Callable[..., str]:
    return aws.machine


@pytest.fixture
def run(aws: Resources) -> Callable[..., dict[str, Any]]:
    return aws.run
