"""Processes that are started in a bad moment, leave children, fail, or stand in somebody's account."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Timer

import pytest

from millrace.console.local_cloud.processes import WORKER, Processes, end_workers, undisturbed, workspace
from millrace.errors import LocalCloudError
from tests.localcloud.waiting import until

STUBBORN = """
import signal, subprocess, sys, time
deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); print(flush=True); time.sleep(60)"
with subprocess.Popen([sys.executable, "-c", deaf], stdout=subprocess.PIPE) as process:
    process.stdout.readline()
    print(process.pid, flush=True)
    time.sleep(60)
"""
HANGING = """
import signal, subprocess, sys, time
signal.signal(15, signal.SIG_IGN)
worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
print(worker.pid, flush=True)
time.sleep(60)
"""
"""As a cloud that hangs at its end, with a worker in a session of its own."""


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
    with undisturbed():
        start(came)
    assert came == ["started", "known", "interrupted"]


@pytest.fixture
def processes(tmp_path: Path) -> Processes:
    return Processes(folder=tmp_path)


def is_gone(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or ") Z" in status.read_text()


def test_a_child_that_does_not_listen_ends_with_its_parent(processes: Processes) -> None:
    process = processes.start("stubborn", ["-c", STUBBORN], log="stubborn.log", program=[sys.executable])
    until(lambda: process.log.read_text().endswith("\n"))
    child = int(process.log.read_text())
    processes.stop()
    assert process.popen.returncode == -signal.SIGTERM
    until(lambda: is_gone(child))


def test_a_cloud_that_has_to_be_killed_leaves_no_worker(processes: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("millrace.console.local_cloud.processes.STOP_S", 0)
    name, _, value = WORKER.format(workspace(processes.folder)).partition("=")
    words = ["-c", HANGING]
    cloud = processes.start("cloud", words, log="cloud.log", program=[sys.executable], environment={name: value})
    until(lambda: cloud.log.read_text().endswith("\n"))
    processes.stop()
    assert cloud.popen.returncode == -signal.SIGKILL
    until(lambda: is_gone(int(cloud.log.read_text())))


def test_what_was_released_goes_on(processes: Processes) -> None:
    sleep = ["-c", "import time; time.sleep(60)"]
    kept, other = (processes.start(name, sleep, log=f"{name}.log", program=[sys.executable]) for name in ("a", "b"))
    processes.release(kept)
    processes.stop()
    assert other.has_ended()
    assert not kept.has_ended()
    kept.popen.kill()
    kept.popen.wait()


def test_a_failure_is_told_with_the_end_of_its_log(processes: Processes) -> None:
    words = ["-c", "import sys; print('before'); sys.exit('the reason')"]
    process = processes.start("synthesis", words, log="synth.log", program=[sys.executable])
    with pytest.raises(
        LocalCloudError, match=r"(?s)synthesis: expected exit status 0, got 1; see .*synth\.log\n.*the reason"
    ):
        process.succeed()


def test_a_process_sees_the_build_folder_and_nobodys_account(
    processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "somebody")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
    (processes.folder / "where.py").write_text(
        "import os, tempfile; print(tempfile.gettempdir(), *sorted(name for name in os.environ if 'AWS_' in name))"
    )
    settings = {"PYTHONPATH": str(processes.folder), "AWS_REGION": "eu-west-1"}
    process = processes.start("where", ["where"], log="where.log", environment=settings)
    process.succeed()
    assert process.log.read_text().split() == [str(processes.folder / "tmp"), "AWS_REGION"]


def test_what_a_killed_cloud_had_started_is_gone_when_it_is_said_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the kernel takes its time, as over one with much memory."""
    kill = os.kill
    monkeypatch.setattr(os, "kill", lambda *given: Timer(0.3, kill, given).start())
    name, _, value = WORKER.format(tmp_path).partition("=")
    code = "print(flush=True); import time; time.sleep(60)"
    environment = {**os.environ, name: value}
    with subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE) as worker:
        assert worker.stdout is not None
        worker.stdout.readline()
        end_workers(tmp_path)
        left = Path(f"/proc/{worker.pid}/cmdline").read_bytes()
        assert worker.wait() == -signal.SIGKILL
    assert left == b""
