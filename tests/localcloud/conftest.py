"""For the tests of the fillers, which share the cloud of their file; names keep tests apart."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from localcloud.kernel.cloud import Cloud


@pytest.fixture
def client(cloud: Cloud) -> Callable[[str], Any]:
    """A boto3 client with the operator's keys, by service."""
    return cloud.client


@pytest.fixture
def fresh() -> Callable[..., str]:
    """A name nobody else uses: `fresh("queue")` is `queue-1f0c9a52`."""
    return lambda prefix="test": f"{prefix}-{uuid.uuid4().hex[:8]}"
