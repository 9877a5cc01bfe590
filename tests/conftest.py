"""AWS in this process: the models of its APIs, and a local cloud for the tests that need one.

Every file has a cloud of its own: what moto keeps belongs to the whole process, and files that only mock AWS may come
between two that run a cloud. To start one takes a few hundredths of a second."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Generator, Iterator
from functools import cache
from types import SimpleNamespace
from typing import TYPE_CHECKING

import botocore.loaders
import pytest
from hypothesis import HealthCheck, is_hypothesis_test, settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

from tests import fuzz
from tests.durations import Durations, expected, file_of

if TYPE_CHECKING:
    from localcloud.kernel.cloud import Cloud

for pool in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    # Read when numpy and torch are imported. Two processes share two cores: threads that wait for each other's cores
    # spin, and the networks of tests took twice the CPU time.
    os.environ.setdefault(pool, "1")

OWN_CLOUD = tuple(
    f"tests/end_to_end/test_{name}.py"
    for name in (
        "air_quality",
        "bulk",
        "interrupt",
        "kinds",
        "own_workload",
        "upkeep",
        "xray",
    )
)
"""End-to-end tests with clouds of their own. The others begin at states of one cloud, which one process makes."""


def scope_of(test: str) -> str:
    """What one process has all of: a file, or all files that begin at states of one cloud."""
    file = file_of(test)
    return "states of one cloud" if file.startswith("tests/end_to_end/") and file not in OWN_CLOUD else file


class Scheduling(LoadScopeScheduling):
    """Where several processes share the tests, one has all of a scope.

    pytest-xdist's own `loadgroup` does nothing with pytest 9.2: it marks tests in a field that is not read any more."""

    def _split_scope(self, nodeid: str) -> str:
        return scope_of(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling:
    """Takes the place of what `--dist` names."""
    return Scheduling(config, log)


durations = Durations()


def pytest_configure(config: pytest.Config) -> None:
    fuzz.is_whole = config.option.markexpr != "not night"
    if not fuzz.is_whole:
        # A change is judged by the examples that judged the last one, and not by how busy its machine is.
        settings.register_profile("day", derandomize=True, suppress_health_check=[HealthCheck.too_slow])
        settings.load_profile("day")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """At night each fuzz draws all its examples. Where processes share the tests, the longest go first."""
    for item in items:
        if fuzz.is_whole and is_hypothesis_test(getattr(item, "obj", None)):
            item.add_marker(pytest.mark.night(fuzz.REASON))
        for marker in item.iter_markers("night"):
            if [type(word) for word in marker.args] != [str] or marker.kwargs:
                raise pytest.UsageError(f"{item.nodeid}: the mark `night` takes one reason")
    if hasattr(config, "workerinput"):
        files, seconds = expected(), Counter[str]()
        for file in {file_of(item.nodeid) for item in items}:
            seconds[scope_of(file)] += files.get(file, 0.0)
        items.sort(key=lambda item: -seconds[scope_of(item.nodeid)])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    with durations.measuring(item.nodeid):
        return (yield)


def pytest_testnodedown(node: WorkerController) -> None:
    durations.seconds.update(getattr(node, "workeroutput", {}).get("durations", {}))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["durations"] = durations.seconds
    else:
        durations.keep()


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that botocore waited between its attempts; it does not, here."""
    found: list[float] = []
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=found.append))
    return found


@pytest.fixture(scope="session", autouse=True)
def _api_models() -> Iterator[None]:
    """Read once: botocore reads them anew for each session, and each mock of AWS begins one, a third of a second."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("botocore.session.create_loader", cache(botocore.loaders.create_loader))
        yield


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A running cloud, empty at the file's first test; nothing of it is left after the last."""
    from localcloud.kernel.server import running

    with running(tmp_path_factory.mktemp("cloud")) as cloud:
        yield cloud
    assert not [thread.name for thread in cloud.threads.join(0)]
