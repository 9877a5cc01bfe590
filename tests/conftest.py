"""AWS in this process: the models of its APIs, and a local cloud for the tests that need one.

Every file has a cloud of its own: what moto keeps belongs to the whole process, and files that only mock AWS may come
between two that run a cloud. To start one takes a few hundredths of a second."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

import botocore.loaders
import pytest

if TYPE_CHECKING:
    from infra.local.cloud import Cloud


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where several processes share the tests, one has all of a file, and one all files that share a lived-through
    cloud."""
    lived = {item.path for item in items if "lived" in getattr(item, "fixturenames", ())}
    for item in items:
        item.add_marker(pytest.mark.xdist_group("lived" if item.path in lived else item.path.as_posix()))


@pytest.fixture(scope="session", autouse=True)
def _api_models() -> Iterator[None]:
    """Read once: botocore reads them anew for each session, and each mock of AWS begins one, a third of a second."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("botocore.session.create_loader", cache(botocore.loaders.create_loader))
        yield


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A running cloud, empty at the file's first test; nothing of it is left after the last."""
    from infra.local.server import running

    with running(tmp_path_factory.mktemp("cloud")) as cloud:
        yield cloud
    assert not [thread.name for thread in cloud.threads.join(0)]
