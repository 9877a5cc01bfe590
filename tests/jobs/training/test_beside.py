"""Calls beside the process: each made once, their results in order, whatever becomes of the forks."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from millrace.jobs.runtime import Stopped
from millrace.jobs.training.beside import beside
from tests.localcloud.waiting import until


def noted(folder: Path, number: int) -> int:
    """Its square; the process that was called is noted."""
    with (folder / str(number)).open("a") as file:
        file.write(f"{os.getpid()}\n")
    time.sleep(0.02)
    return number**2


def calls(folder: Path, count: int = 6) -> list[Callable[[], int]]:
    return [partial(noted, folder, number) for number in range(count)]


def made_by(folder: Path) -> list[list[int]]:
    """The processes of each call."""
    found = sorted(folder.iterdir(), key=lambda path: int(path.name))
    return [[int(line) for line in path.read_text().split()] for path in found]


@pytest.mark.parametrize("processes", [1, 2, 3, 40])
def test_each_is_made_once(processes: int, tmp_path: Path) -> None:
    with beside(calls(tmp_path), processes=processes) as shared:
        assert shared.results() == (0, 1, 4, 9, 16, 25)
    made = made_by(tmp_path)
    assert {len(each) for each in made} == {1}
    others = {process for each in made for process in each} - {os.getpid()}
    assert len(others) <= min(processes - 1, 6)
    assert bool(others) is (processes > 1)


def test_forks_work_while_this_process_does_other_things(tmp_path: Path) -> None:
    with beside(calls(tmp_path), processes=2) as shared:
        until(lambda: len(list(tmp_path.iterdir())) == 6, limit_s=60)
        assert shared.results() == (0, 1, 4, 9, 16, 25)
    assert os.getpid() not in {process for each in made_by(tmp_path) for process in each}


def test_what_a_killed_fork_left_is_made_here(tmp_path: Path) -> None:
    def slow() -> int:
        if os.getpid() != this:
            (tmp_path / "fork").write_text(str(os.getpid()))
            time.sleep(600)
        return 7

    this = os.getpid()
    with beside([slow], processes=2) as shared:
        until(lambda: (tmp_path / "fork").exists() and (tmp_path / "fork").read_text(), limit_s=60)
        os.kill(int((tmp_path / "fork").read_text()), signal.SIGKILL)
        assert shared.results() == (7,)


def test_no_fork_is_left_behind(tmp_path: Path) -> None:
    def sleep() -> None:
        (tmp_path / str(os.getpid())).touch()
        time.sleep(600)

    with beside([sleep], processes=2):
        until(lambda: list(tmp_path.iterdir()), limit_s=60)
    (fork,) = tmp_path.iterdir()
    assert not Path(f"/proc/{fork.name}").exists()
    with beside([], processes=4) as shared:
        assert shared.results() == ()


def test_a_stop_does_not_wait_for_a_fork(tmp_path: Path) -> None:
    """The signal comes to this process alone, while it waits; the fork would take ten minutes."""

    def sleep() -> None:
        (tmp_path / "fork").touch()
        time.sleep(600)

    told = threading.Event()
    with beside([sleep], processes=2) as shared:
        until((tmp_path / "fork").exists, limit_s=60)
        threading.Timer(1, told.set).start()
        with pytest.raises(Stopped, match="while forks made their calls"):
            shared.results(told.is_set)
