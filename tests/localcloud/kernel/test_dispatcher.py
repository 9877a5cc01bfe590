"""Work after the answer: in time, side by side, and a failure stays with its own job."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import urllib.error
from collections.abc import Iterator
from pathlib import Path

import pytest

from localcloud.kernel import call_tracer, guardian
from localcloud.kernel.cloud import Cloud
from localcloud.kernel.dispatcher import Dispatcher
from localcloud.kernel.patching import replace, replace_entries, undone
from tests.localcloud.control import control
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


class Base:
    size = 1


class Service(Base):
    @staticmethod
    def parse() -> str:
        return "theirs"


def test_members_are_as_before_at_the_end():
    before = dict(vars(Service))
    with undone():
        replace(Service, parse=staticmethod(lambda: "ours"), size=2)
        replace(Service, parse=staticmethod(lambda: "ours again"))
        assert (Service.parse(), Service.size) == ("ours again", 2)
    assert dict(vars(Service)) == before
    assert Service.size == 1, "what was inherited is inherited again"


def test_entries_are_as_before_at_the_end():
    shared = {"kept": 1, "changed": 2}
    with undone():
        replace_entries(shared, changed=3, added=4)
        assert shared == {"kept": 1, "changed": 3, "added": 4}
    assert shared == {"kept": 1, "changed": 2}


def fail() -> None:
    with undone():
        replace(Service, size=3)
        raise ValueError("no")


def test_an_error_undoes_too():
    with pytest.raises(ValueError, match="no"):
        fail()
    assert Service.size == 1


def test_without_a_cloud_nothing_is_replaced():
    with pytest.raises(LookupError, match="expected a cloud that starts"):
        replace(Service, size=4)
    with undone():
        pass
    with pytest.raises(LookupError):
        replace_entries({}, a=1)
    assert Service.size == 1


SLEEP = [sys.executable, "-I", "-S", "-c", "import time; print(flush=True); time.sleep(60)"]


def test_what_a_killed_cloud_started_ends_and_nothing_else() -> None:
    watch = [sys.executable, "-I", "-S", guardian.__file__, "MILLRACE_RUN=a"]
    with (
        subprocess.Popen(SLEEP, env={"MILLRACE_RUN": "a"}, stdout=subprocess.PIPE) as ours,
        subprocess.Popen(SLEEP, env={"MILLRACE_RUN": "b"}, stdout=subprocess.PIPE) as other,
        subprocess.Popen(watch, stdin=subprocess.PIPE) as beside,
    ):
        for one in (ours, other):
            assert one.stdout is not None
            one.stdout.readline()
        assert ours.poll() is None
        assert beside.stdin is not None
        beside.stdin.close()
        assert ours.wait(60) == -signal.SIGKILL
        assert beside.wait(60) == 0
        assert other.poll() is None
        other.kill()


PROGRAM = f"""
import importlib.util, os, sys
spec = importlib.util.spec_from_file_location("call_tracer", {call_tracer.__file__!r})
tracer = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tracer)
tracer.trace_on_signal()
sys.path.insert(0, os.getcwd())
print("ready", flush=True)
for line in sys.stdin:
    if line.strip() == "refresh":
        os.kill(os.getpid(), tracer.SIGNAL)
    else:
        __import__(line.strip()).work()
    print("done", flush=True)
"""


class Process:
    """A program that obeys its input: check for the file, or work with a module."""

    def __init__(self, folder: Path) -> None:
        self.file = folder.parent / "entered"
        for name in ("first", "second"):
            body = "class Shape:\n    size = 1\ndef set_up(): pass\nset_up()\ndef work(): return len('a')\n"
            (folder / f"{name}.py").write_text(body)
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM],
            cwd=folder,
            env={call_tracer.FILE: str(self.file)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.answer() == "ready"

    def answer(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def do(self, word: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()
        assert self.answer() == "done"


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    folder = tmp_path / "program"
    folder.mkdir()
    made = Process(folder)
    yield made
    made.process.communicate(timeout=10)


def test_calls_are_written_once_in_order_and_without_imports(process: Process) -> None:
    process.do("second")
    assert not process.file.exists(), "there is no file"
    process.file.touch()
    for word in ("refresh", "first", "second", "first"):
        process.do(word)
    pid = process.process.pid
    assert process.file.read_text().splitlines() == [f"{pid} first.py work", f"{pid} second.py work"]


def test_it_stops_when_the_file_is_gone(process: Process) -> None:
    process.file.touch()
    process.do("refresh")
    process.do("first")
    assert process.file.read_text()
    process.file.unlink()
    process.do("refresh")
    process.do("second")
    assert not process.file.exists()


def test_a_cloud_whose_processes_would_be_ended_by_the_signal_refuses(cloud: Cloud) -> None:
    with pytest.raises(urllib.error.HTTPError, match="400"):
        control(cloud.endpoint_url, "follow", {"on": True})
