"""What a shadow costs live answers: p99 of the prediction function with looks and without: `python -m
benchmarks.shadow`.

The prediction function asks a serving container for one row at a time. In every second block a look runs beside it
without a pause, which a release does once in two hours: bodies of 50 copies, as `judge_phase` sends them, to a
challenger's container of its own. On AWS these are other machines, so here they have the other core. Blocks alternate,
so that other work on the machine falls on both; the figure is the median of the ratios of neighbours.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from timeit import Timer
from typing import Any

import numpy as np

from benchmarks import conclude
from benchmarks.prediction import ENVIRONMENT, EVENT, QUEUE
from benchmarks.serving import FEATURES, REPOSITORY, container, post, write_model
from localcloud.sagemaker.endpoints.serving import free_port
from millrace.functions.judge_phase.copies import ROWS
from tests.functions.cold_start import CONTEXT

BAR_RATIO = 1.05
"""p99 with looks over p99 without."""
BLOCKS, REQUESTS = 40, 400
"""Blocks of either kind, and requests of a block."""


def look(port: int) -> None:
    """Ask the challenger for copies, for ever."""
    body = json.dumps({"rows": [dict.fromkeys(FEATURES, 0.25)] * ROWS, "others": [{}] * ROWS}).encode()
    while True:
        assert len(json.loads(post(port, body))["predictions"]) == ROWS


@contextmanager
def going_on(pids: Sequence[int]) -> Iterator[None]:
    """In the block the processes run, which stand still before and after it."""
    try:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)


def p99_ms(handler: Any, event: dict[str, Any], context: Any) -> float:
    """Of so many requests."""
    with contextlib.redirect_stdout(io.StringIO()):
        times = Timer(lambda: handler(event, context), "import gc; gc.enable()").repeat(REQUESTS, 1)
    return float(np.quantile(times, 0.99)) * 1000


def verdict(*, pairs: Sequence[tuple[float, float]]) -> dict[str, Any]:
    """The result of p99 with looks and without, of neighbouring blocks."""
    figure = round(median(beside / alone for beside, alone in pairs), 3)
    beside_ms, alone_ms = (round(median(one), 3) for one in zip(*pairs, strict=True))
    unit = "p99 of live answers with a shadow's looks over p99 without"
    result = {"name": "shadow", "figure": figure, "unit": unit, "bar": BAR_RATIO, "holds": figure <= BAR_RATIO}
    return {**result, "with_ms": beside_ms, "without_ms": alone_ms, "pairs": pairs}


def main() -> None:
    """Print the result as JSON; exits with 1 where the bar is missed, and with the reason where nothing is measured."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        sys.exit("shadow: not measured: expected two cores, one for the live version and one for the shadow")
    os.environ.update(ENVIRONMENT)
    from millrace.decisions.endpoint import read_response
    from millrace.functions.prediction import handler as function

    with tempfile.TemporaryDirectory() as scratch, ExitStack() as open_:
        write_model(Path(scratch) / "model")
        ports = free_port(), free_port()
        served = [open_.enter_context(container(Path(scratch), port)) for port in ports]
        looking = subprocess.Popen([sys.executable, "-m", "benchmarks.shadow", str(ports[1])], cwd=REPOSITORY)
        open_.callback(looking.wait)
        open_.callback(looking.kill)
        for pid, core in ((0, cores[0]), (served[0], cores[0]), (served[1], cores[1]), (looking.pid, cores[1])):
            os.sched_setaffinity(pid, {core})
        task, shadow = function.ROAD.task, (served[1], looking.pid)
        function.ROAD.invoke = lambda body, rows: read_response(post(ports[0], body), rows=rows, task=task)
        function.ROAD.sqs = QUEUE
        event = {"rows": json.loads(EVENT.read_text())["rows"][:1]}
        time.sleep(3)  # the shadow starts
        with going_on(shadow):
            p99_ms(function.handler, event, CONTEXT)
        pairs = []
        for _ in range(BLOCKS):
            with going_on(shadow):
                beside = p99_ms(function.handler, event, CONTEXT)
            pairs.append((beside, p99_ms(function.handler, event, CONTEXT)))
        assert looking.poll() is None, "the looks have ended"
    conclude(verdict(pairs=pairs))


if __name__ == "__main__":
    look(int(sys.argv[1])) if len(sys.argv) > 1 else main()
