"""A workload's context without a stack."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from millrace.infra.context import Context
from millrace.workload.declaration import Workload
from tests.infra.machines.contexts import context_of, declared


@pytest.fixture(scope="session")
def workload() -> Workload:
    return declared()


@pytest.fixture(scope="session")
def context() -> Callable[..., Context]:
    """`context("dev", rollout={"min_instances": 2})`: prod and the workload as shipped, but for what is given."""
    return context_of
