"""A spot interruption: from SIGTERM to the end of the process, at any moment, and what the next one makes of it.

The signal comes as a container's first process gets it, which has no default for it; its children are not told.
"""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from millrace.jobs.runtime import STOPPED
from tests.jobs.conftest import CHILD, REPOSITORY, changed
from tests.localcloud.waiting import until

PROMISED_S = 30.0
"""From SIGTERM to the exit; SageMaker kills after 120 s."""
STOPS, SEED = 4, 11
NAME = "weights.safetensors"


@contextmanager
def begun(root: Path, processes: int) -> Any:
    """A training job that catches the signal, as its first process."""
    environment = {**CHILD, "MILLRACE_ML_ROOT": str(root), "SM_NUM_GPUS": str(processes)}
    with (
        (root / "output.txt").open("a") as output,
        subprocess.Popen(
            [sys.executable, "-m", "millrace.jobs.training", "train"],
            cwd=REPOSITORY,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN),
        ) as process,
    ):
        try:
            until(lambda: catches(process.pid, signal.SIGTERM), limit_s=60)
            yield process
        finally:
            process.kill()


def catches(process: int, number: int) -> bool:
    """Whether the process has a handler for the signal: https://man7.org/linux/man-pages/man5/proc_pid_status.5.html"""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    (mask,) = [line.split()[1] for line in lines if line.startswith("SigCgt:")]
    return bool(int(mask, 16) >> (number - 1) & 1)


def stop(process: subprocess.Popen[bytes]) -> float:
    """Seconds from the signal to the exit."""
    sent = time.monotonic()
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=10 * PROMISED_S)
    return time.monotonic() - sent


@pytest.fixture(scope="module")
def snapshot(snapshot_1996: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Of 1996, with some epochs that cannot be stopped early, and two models of earlier days."""
    return changed(snapshot_1996, tmp_path_factory.mktemp("stops") / "config", steps=2, epochs=12, patience=12)


def test_the_signal_is_caught_before_torch_is_loaded(
    snapshot: Any, training_at: Callable[..., Path], tmp_path: Path
) -> None:
    root = training_at(tmp_path / "ml", snapshot)
    with begun(root, 1) as process:
        assert "libtorch" not in Path(f"/proc/{process.pid}/maps").read_text()
        assert stop(process) < PROMISED_S
    assert process.returncode == STOPPED
    assert (root / "output.txt").read_text() == "stopped: before the first step\n"


def test_several_processes_are_not_started_once_the_signal_has_come(
    snapshot: Any, training_at: Callable[..., Path], tmp_path: Path
) -> None:
    root = training_at(tmp_path / "ml", snapshot)
    with begun(root, 2) as process:
        assert stop(process) < PROMISED_S
    assert process.returncode == STOPPED
    assert (root / "output.txt").read_text() == "stopped: before the processes were started\n"


@pytest.mark.night("random moments of a whole job; by day the loop goes on from one checkpoint")
@pytest.mark.parametrize("processes", [1, 2])
def test_stops_at_random_moments_take_less_than_half_a_minute_and_leave_the_same_weights(
    snapshot: Any, training_at: Callable[..., Path], run_job: Any, tmp_path: Path, processes: int
) -> None:
    whole, root = training_at(tmp_path / "whole", snapshot), training_at(tmp_path / "ml", snapshot)
    began = time.monotonic()
    assert run_job("millrace.jobs.training", whole, "train", SM_NUM_GPUS=str(processes)).code == 0
    lasts_s, chance = time.monotonic() - began, random.Random(SEED)
    taken: list[float] = []
    while len(taken) < STOPS:
        with begun(root, processes) as process:
            try:
                process.wait(timeout=chance.uniform(0, lasts_s))
            except subprocess.TimeoutExpired:
                taken.append(stop(process))
        assert process.returncode in (STOPPED, 0), (root / "output.txt").read_text()
        # It was being written, or done; of two processes the one that starts them may be stopped after that.
        is_written = process.returncode == 0 or (processes > 1 and (root / "model").exists())
        assert (root / "model").exists() is is_written
        if is_written:
            assert_same(root, whole)
            shutil.rmtree(root / "model")
    assert max(taken) < PROMISED_S, taken
    assert not (root / "output" / "failure").exists()
    ended = run_job("millrace.jobs.training", root, "train", SM_NUM_GPUS=str(processes))
    assert ended.code == 0, ended.output
    assert_same(root, whole)


def assert_same(root: Path, whole: Path) -> None:
    assert (root / "model" / NAME).read_bytes() == (whole / "model" / NAME).read_bytes()
