"""For the tests of the fillers, which share the cloud of their file; names keep tests apart."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from tests.localcloud.resources import Resources

if TYPE_CHECKING:
    from localcloud.kernel.cloud import Cloud


@pytest.fixture
def client(cloud: Cloud) -> Callable[[str], Any]:
    """A boto3 client with the operator's keys, by service."""
    return cloud.client


@pytest.fixture(scope="module")
def aws(cloud: Cloud) -> Resources:
    return Resources(cloud=cloud)


@pytest.fixture
def fresh(aws: Resources) -> Callable[..., str]:
    """A name nobody else uses: `fresh("queue")` is `queue-1f0c9a52`."""
    return aws.fresh
