"""Work after the answer: in time, side by side, and a failure stays with its own job."""

from __future__ import annotations

import threading

import pytest

from localcloud.kernel.cloud import Cloud
from localcloud.kernel.dispatcher import Dispatcher
from tests.localcloud.waiting import LIMIT_S, until


@pytest.fixture
def dispatcher(cloud: Cloud) -> Dispatcher:
    return Dispatcher(cloud)


def test_jobs_run_when_they_are_due(dispatcher: Dispatcher) -> None:
    done: list[str] = []
    ended = threading.Event()
    dispatcher.submit("late", lambda: (done.append("late"), ended.set()), after_s=0.2)  # type: ignore[func-returns-value]
    dispatcher.submit("soon", lambda: done.append("soon"), after_s=0.05)
    assert set(dispatcher.pending()) == {"late", "soon"}
    assert ended.wait(5)
    assert done == ["soon", "late"]


def test_a_long_job_holds_nobody_up(dispatcher: Dispatcher) -> None:
    release, started = threading.Event(), threading.Barrier(21)

    def wait() -> None:
        started.wait(5)
        release.wait(5)

    for _ in range(20):
        dispatcher.submit("long", wait)
    started.wait(5)
    short = threading.Event()
    dispatcher.submit("short", short.set)
    assert short.wait(5)
    release.set()


def test_a_failure_is_logged_and_the_next_job_runs(dispatcher: Dispatcher, caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise RuntimeError("no")

    dispatcher.submit("failing", fail)
    ended = threading.Event()
    dispatcher.submit("next", ended.set)
    assert ended.wait(LIMIT_S)
    until(lambda: not dispatcher.pending())
    assert "failing failed" in caplog.text
