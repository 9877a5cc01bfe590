"""The process that makes a graph: it ends with the training, however that ends."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from millrace.errors import ArtefactError
from millrace.models.export import exporter

REPOSITORY = Path(__file__).resolve().parents[3]
TRAINING = """
import multiprocessing, time
from millrace.models.export import exporter
with exporter():
    print(multiprocessing.active_children()[0].pid, flush=True)
    time.sleep(60)
"""


def test_no_process_is_left_after_the_block() -> None:
    with exporter():
        assert multiprocessing.active_children()
    assert not multiprocessing.active_children()


def test_the_process_ends_when_the_training_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", TRAINING], cwd=REPOSITORY, stdout=subprocess.PIPE) as training:
        assert training.stdout is not None
        exporting = int(training.stdout.readline())
        os.kill(training.pid, signal.SIGKILL)
    for _ in range(600):
        # An orphan that has ended may stay a zombie where nothing reaps it.
        stat = Path(f"/proc/{exporting}/stat")
        if not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z":
            return
        time.sleep(0.1)
    os.kill(exporting, signal.SIGKILL)
    pytest.fail("the process waits for a request that cannot come")


def test_an_export_whose_process_ends_says_so() -> None:
    with exporter() as graph:
        [process] = multiprocessing.active_children()
        process.kill()
        process.join()
        with pytest.raises(ArtefactError, match=r"model\.onnx: the export failed: its process ended"):
            graph.finish({})
