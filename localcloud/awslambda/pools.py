"""The workers of each function. An invocation takes an idle one, or starts one, and puts it back afterwards."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localcloud.awslambda.runtime_api import Invocation
from localcloud.awslambda.workers import Worker, fingerprint
from localcloud.kernel.cloud import Cloud
from localcloud.kernel.memory import machine_mb

WORKERS_PER_FUNCTION = max(2, os.cpu_count() or 1)
"""The most workers of a function. Further invocations wait their turn: more processes than cores only cost their start.

AWS starts up to a thousand."""
WORKER_MB = 80
"""What the two processes of an idle worker hold, roughly, without what they share with others."""
MOST_IDLE = max(64, int(machine_mb() / 4 / WORKER_MB))
"""So many workers of all functions may wait. Beyond it the function that was called longest ago gives one up; AWS ends
idle environments too."""
LIFETIME_S = 45 * 60.0
"""Seconds after which a worker is not reused: its role's keys last an hour, as on AWS."""
TAIL_BYTES = 4096
"""The most bytes of the log's end that Invoke answers (`X-Amz-Log-Result`), as on AWS."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The result of one invocation."""

    request_id: str
    payload: bytes
    error: str = ""
    """`Unhandled` if the function failed for any reason, else empty; as in the header X-Amz-Function-Error."""
    log_tail: bytes = b""
    """The end of what the log got meanwhile, at most TAIL_BYTES."""
    duration_s: float = 0.0
    """Seconds from the imported handler to the answer."""


class Pool:
    """The workers of one function. A change of its code or configuration retires the idle ones."""

    def __init__(self, cloud: Cloud, name: str) -> None:
        self.log = cloud.workspace / "logs" / "functions" / f"{name}.log"
        self._cloud = cloud
        self._idle: list[Worker] = []
        self.used = 0.0
        """When a worker was put back last, by the monotonic clock."""
        self._count = 0
        self._changed = threading.Condition()

    def invoke(self, function: Any, invocation: Invocation, cold_starts: Counter[str]) -> Outcome:
        """Run the event in a worker and return the outcome. Counts the start of a new worker in `cold_starts`."""
        # All workers append to one log, so the tail may have lines of invocations that ran at the same time.
        start = self.log.stat().st_size if self.log.exists() else 0
        worker, cold = self._take(function)
        # As on AWS: `Duration` begins when the handler is imported. The time before is `Init Duration`, which only a
        # cold start has.
        began = time.monotonic()
        if worker is None:
            worker = self._start(function, cold_starts)
        ready = time.monotonic()
        try:
            # If the worker ended during its import, `ended_for` or `initialisation_error` says why.
            if worker.alive:
                worker.run(invocation)
        finally:
            self._put_back(worker)
        duration_s = time.monotonic() - ready
        error_type = _failure_type(worker, invocation)
        self._report(worker, invocation, duration_s, ready - began if cold else None, error_type)
        return self._outcome(worker, invocation, error_type, start, duration_s)

    def _take(self, function: Any) -> tuple[Worker | None, bool]:
        """An idle worker and False, or None and True for the right to start one. Waits while all are busy."""
        # A worker belongs to one version of code and settings, its fingerprint; `_retire` ends old ones. `_count` is
        # the number of idle, busy and starting workers. It is raised here, under the lock, before the slow start
        # outside of the lock, so that two callers cannot both start the last worker.
        wanted = fingerprint(function)
        limit = min(WORKERS_PER_FUNCTION, int(function.reserved_concurrency or WORKERS_PER_FUNCTION))
        with self._changed:
            while True:
                self._retire(wanted, function.function_arn)
                # The worker that was put back last is the warmest. The others get old and are retired.
                for worker in reversed(self._idle):
                    if worker.fingerprint == wanted:
                        self._idle.remove(worker)
                        return worker, False
                if self._count < limit:
                    self._count += 1
                    return None, True
                # Not for ever: a worker that dies while idle wakes nobody. Only `_retire` notices it.
                self._changed.wait(1.0)

    def _start(self, function: Any, cold_starts: Counter[str]) -> Worker:
        try:
            worker = Worker(self._cloud, function, self.log)
        except BaseException:
            self._forget_one()
            raise
        cold_starts[function.function_name] += 1
        worker.wait_until_ready()
        return worker

    def _put_back(self, worker: Worker) -> None:
        if not worker.alive:
            return self._forget_one()
        with self._changed:
            self.used = time.monotonic()
            self._idle.append(worker)
            self._changed.notify()
        return None

    @property
    def idle(self) -> int:
        """How many workers wait."""
        return len(self._idle)

    def end_one(self) -> None:
        """End the worker that waits longest, if one waits."""
        with self._changed:
            if self._idle:
                self._idle.pop(0).end()
                self._count -= 1

    def _forget_one(self) -> None:
        with self._changed:
            self._count -= 1
            self._changed.notify()

    def _retire(self, wanted: str, function_arn: str) -> None:
        """End idle workers that are old, dead, of a former state of the function, or in the way of another version."""
        oldest = time.monotonic() - LIFETIME_S
        for worker in list(self._idle):
            # Two versions of a function may serve at once. Only if the pool is full, another version's worker goes.
            full = self._count >= WORKERS_PER_FUNCTION
            changed = worker.fingerprint != wanted and (worker.function_arn == function_arn or full)
            if changed or worker.born < oldest or not worker.alive:
                self._idle.remove(worker)
                self._count -= 1
                worker.end()

    def _outcome(
        self, worker: Worker, invocation: Invocation, error_type: str, start: int, duration_s: float
    ) -> Outcome:
        payload = invocation.response
        if error_type:
            payload = invocation.error or worker.api.initialisation_error
            payload = payload or _platform_error(worker, invocation, error_type)
        return Outcome(
            request_id=invocation.request_id,
            payload=payload or b"null",
            error="Unhandled" if error_type else "",
            log_tail=_tail(self.log, start),
            duration_s=duration_s,
        )

    def _report(
        self, worker: Worker, invocation: Invocation, ran_s: float, started_s: float | None, error_type: str
    ) -> None:
        # `-(-x // 1)` rounds up: Lambda bills whole milliseconds.
        line = (
            f"REPORT RequestId: {invocation.request_id}\tDuration: {ran_s * 1000:.2f} ms\t"
            f"Billed Duration: {-(-ran_s * 1000 // 1):.0f} ms\tMemory Size: {worker.memory_mb} MB\t"
            f"Max Memory Used: {worker.peak_mb:.0f} MB"
        )
        line += f"\tInit Duration: {started_s * 1000:.2f} ms" if started_s is not None else ""
        line += f"\tStatus: error\tError Type: {error_type}" if error_type else ""
        with self.log.open("a") as file:
            file.write(line + "\n")


def _failure_type(worker: Worker, invocation: Invocation) -> str:
    """Empty if the function answered, else the type of the error in the words of Lambda's REPORT line.

    Examples: `Sandbox.Timedout`, `Runtime.ExitError`, or the function's own `ValueError`."""
    if invocation.response is not None:
        return ""
    if invocation.error is not None or worker.api.initialisation_error is not None:
        failed = json.loads(invocation.error or worker.api.initialisation_error or b"{}")
        return str(failed.get("errorType") or "Function.Unknown")
    return worker.ended_for or "Runtime.ExitError"


def _platform_error(worker: Worker, invocation: Invocation, error_type: str) -> bytes:
    """The error that Lambda itself reports, as JSON, for a worker that has ended without a report of its own."""
    start = f"RequestId: {invocation.request_id} Error: "
    if error_type == "Sandbox.Timedout":
        message = f"{start}Task timed out after {invocation.timeout_s:.2f} seconds"
        return json.dumps({"errorType": error_type, "errorMessage": message}).encode()
    code = worker.process.returncode
    how = "signal: killed" if code == -signal.SIGKILL else f"exit status {code}" if code >= 0 else f"signal: {-code}"
    message = (
        f"{start}Runtime exited with error: {how}" if code else f"{start}Runtime exited without providing a reason"
    )
    return json.dumps({"errorType": "Runtime.ExitError", "errorMessage": message}).encode()


def _tail(log: Path, start: int) -> bytes:
    with log.open("rb") as file:
        file.seek(max(start, log.stat().st_size - TAIL_BYTES))
        return file.read(TAIL_BYTES)


class Functions:
    """The pools of the cloud's functions, by the functions' names. All versions of a function share one pool."""

    def __init__(self, cloud: Cloud) -> None:
        self.cold_starts: Counter[str] = Counter()
        self._cloud = cloud
        self._pools: dict[str, Pool] = {}
        self._lock = threading.Lock()
        self._after: list[Callable[[Any, Outcome], None]] = []

    def invoke(self, function: Any, payload: bytes, request_id: str | None = None) -> Outcome:
        """The outcome of the invocation, once the function has answered or failed."""
        invocation = Invocation(
            request_id=request_id or str(uuid.uuid4()),
            function_arn=function.function_arn,
            payload=payload or b"{}",
            timeout_s=float(function.timeout or 3),
        )
        with self._lock:
            pool = self._pools.setdefault(function.function_name, Pool(self._cloud, function.function_name))
        outcome = pool.invoke(function, invocation, self.cold_starts)
        self._end_spare()
        for action in self._after:
            action(function, outcome)
        return outcome

    def after_invocation(self, action: Callable[[Any, Outcome], None]) -> None:
        """Call `action(function, outcome)` after each invocation, before its caller gets the answer."""
        self._after.append(action)

    def _end_spare(self) -> None:
        with self._lock:
            waiting = sorted((pool for pool in self._pools.values() if pool.idle), key=lambda pool: pool.used)
        spare = sum(pool.idle for pool in waiting) - MOST_IDLE
        for pool in waiting[: max(0, spare)]:
            pool.end_one()
