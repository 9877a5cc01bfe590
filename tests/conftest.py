"""A local cloud in this process, for the tests that need one.

Every file has a cloud of its own: what moto keeps belongs to the whole process, and files that only mock AWS may come
between two that run a cloud. To start one takes a few hundredths of a second."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from infra.local.cloud import Cloud


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A running cloud, empty at the file's first test; nothing of it is left after the last."""
    from infra.local.server import running

    with running(tmp_path_factory.mktemp("cloud")) as cloud:
        yield cloud
    assert not [thread.name for thread in cloud.threads.join(0)]
