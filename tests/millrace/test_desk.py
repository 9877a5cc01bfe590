"""What the desk's processes do when they are started in a bad moment or leave children; the rest is end to end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from millrace.desk import _start, _stop, _undisturbed

STUBBORN = """
import signal, subprocess, sys, time
deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); print(flush=True); time.sleep(60)"
with subprocess.Popen([sys.executable, "-c", deaf], stdout=subprocess.PIPE) as process:
    process.stdout.readline()
    print(process.pid, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def came() -> Iterator[list[str]]:
    """What happened, in order: the interrupt is noted when it takes effect."""
    order: list[str] = []
    before = signal.signal(signal.SIGTERM, lambda *_: order.append("interrupted"))
    yield order
    signal.signal(signal.SIGTERM, before)


def start(came: list[str]) -> None:
    came.append("started")
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(0.05)
    came.append("known")


def test_an_interrupt_while_a_process_starts_comes_when_it_is_known(came: list[str]) -> None:
    with _undisturbed():
        start(came)
    assert came == ["started", "known", "interrupted"]


def test_without_it_the_interrupt_comes_in_between(came: list[str]) -> None:
    """The control."""
    start(came)
    assert came == ["started", "interrupted", "known"]


def test_a_child_that_does_not_listen_ends_with_its_parent() -> None:
    process = subprocess.Popen([sys.executable, "-c", STUBBORN], stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None
    child = int(process.stdout.readline())
    _stop([process])
    assert process.returncode == -signal.SIGTERM
    for _ in range(100):
        if not Path(f"/proc/{child}").exists() or ") Z" in Path(f"/proc/{child}/stat").read_text():
            return
        time.sleep(0.02)
    raise AssertionError("expected the child to be gone")


def test_temporary_files_lie_below_the_build_folder(tmp_path: Path) -> None:
    processes: list[subprocess.Popen[bytes]] = []
    (tmp_path / "where.py").write_text("import tempfile; print(tempfile.gettempdir())")
    log = tmp_path / "where.log"
    _start(processes, ["where"], log, environment={"PYTHONPATH": str(tmp_path)}).wait()
    assert log.read_text().strip() == str(tmp_path / "tmp")
