"""The call tracer: silent until the file is there, without imports, silent again."""

from __future__ import annotations

import subprocess
import sys
import urllib.error
from collections.abc import Iterator
from pathlib import Path

import pytest

from localcloud.kernel import call_tracer
from localcloud.kernel.cloud import Cloud
from tests.localcloud.control import control

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
