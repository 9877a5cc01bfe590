"""Runs work after its call was answered: deliveries, retries and asynchronous invocations, each when it is due."""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from localcloud.kernel.cloud import Cloud

LOG = logging.getLogger(__name__)
MOST_THREADS = 64
"""A thread mostly waits, for a function or for an answer of the cloud; a new one starts when all others are busy."""


@dataclass(order=True)
class _Job:
    due: float
    """A time of `time.monotonic`: waits between attempts are real seconds, whatever the cloud's clock says."""
    order: int
    """Counts the jobs: of two with the same due time the earlier one runs first. It is the job's id in `_running`."""
    label: str = field(compare=False)
    action: Callable[[], None] = field(compare=False)


class Dispatcher:
    """A queue of actions with a due time, and the threads that run them. An action that fails is logged and dropped."""

    # Protocol: while there are jobs, at least one idle thread waits for the earliest due time. The thread that takes a
    # job is no longer idle, so it first makes sure that another one waits (`_have_one_waiting`). Above MOST_THREADS
    # threads no other one is started: jobs wait until a thread has finished.

    def __init__(self, cloud: Cloud) -> None:
        self._stopping = cloud.stopping
        self._jobs: list[_Job] = []
        self._running: dict[int, str] = {}
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._cloud = cloud
        self._threads = 0
        self._idle = 0
        cloud.at_stop(self._wake)

    def submit(self, label: str, action: Callable[[], None], *, after_s: float = 0.0) -> None:
        """Run `action` on a thread of the dispatcher after `after_s` real seconds. `pending` shows it as `label`."""
        with self._changed:
            heapq.heappush(self._jobs, _Job(time.monotonic() + after_s, next(self._order), label, action))
            self._have_one_waiting()
            self._changed.notify()

    def pending(self) -> list[str]:
        """The labels of the jobs that run or wait."""
        with self._changed:
            return [*self._running.values(), *(job.label for job in self._jobs)]

    def _have_one_waiting(self) -> None:
        """Start a thread if none is idle: some thread must watch the queue while the others work."""
        if not self._idle and self._threads < MOST_THREADS:
            self._threads += 1
            self._idle += 1
            self._cloud.background(f"dispatcher-{self._threads}", self._work)

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _work(self) -> None:
        while (job := self._next()) is not None:
            try:
                job.action()
            except Exception:
                # While the cloud stops its processes end, so jobs fail: that is no news.
                if not self._stopping.is_set():
                    LOG.exception("%s failed", job.label)
            finally:
                with self._changed:
                    self._idle += 1
                    del self._running[job.order]

    def _next(self) -> _Job | None:
        """The next job, as soon as it is due; None when the cloud stops."""
        with self._changed:
            while not self._stopping.is_set():
                wait_s = self._jobs[0].due - time.monotonic() if self._jobs else None
                if wait_s is not None and wait_s <= 0:
                    job = heapq.heappop(self._jobs)
                    self._running[job.order] = job.label
                    self._idle -= 1
                    # Two jobs may have been submitted before this thread woke: both found it idle, it takes one.
                    if self._jobs:
                        self._have_one_waiting()
                    return job
                # Woken early by a new job, which may be due before the others, or by the cloud's end.
                self._changed.wait(wait_s)
            # Counted down, so that a cloud that goes on after a checkpoint starts its threads anew.
            self._threads -= 1
            self._idle -= 1
        return None


def dispatcher(cloud: Cloud) -> Dispatcher:
    """The cloud's one dispatcher, made on first use."""
    return cloud.part(Dispatcher, lambda: Dispatcher(cloud))
