"""Makes calls in forks of this process, each on a processor of its own, while the process does other things."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import Generic, Self, TypeVar

import torch

from millrace.jobs.runtime import Stopped
from millrace.models.export import FORKED

Result = TypeVar("Result")
POLL_S = 0.5
"""Seconds between two looks at the stop signal, which does not end a wait for the forks."""


class Beside(Generic[Result]):
    """Calls that are made once each, by whichever process is free first: a fork, or this one in `results`.

    Within the block this process may do other things first. The forks end with it."""

    def __init__(self, calls: Sequence[Callable[[], Result]], *, processes: int) -> None:
        """Up to so many processes make them at once, this one included; on systems without a safe fork it alone.

        There are at most 255 calls, and their results are pickled."""
        self._calls = calls
        self._most_forks = min(processes - 1, len(calls)) if FORKED else 0
        self._next, write = os.pipe()
        # Each byte in the pipe is the number of a call that is left. A process takes a call by reading its byte, and no
        # two processes read the same byte. Once it is closed for writing, an empty pipe reads as its end.
        os.write(write, bytes(range(len(calls))))
        os.close(write)
        self._results: dict[int, Result] = {}
        self._forks: list[tuple[multiprocessing.process.BaseProcess, Connection]] = []

    def __enter__(self) -> Self:
        """Start the forks, which take calls. No other thread of this process may compute meanwhile."""
        context = multiprocessing.get_context("fork")
        for _ in range(self._most_forks):
            ours, theirs = context.Pipe(duplex=False)
            process = context.Process(target=self._serve, args=(theirs,), daemon=True)
            process.start()
            # Now only the fork can write: `ours` reads as ended when the fork ends, however it ends.
            theirs.close()
            self._forks.append((process, ours))
        return self

    def results(self, stop: Callable[[], bool] = lambda: False) -> tuple[Result, ...]:
        """The results in the order of the calls. This process makes the calls that no fork has taken.

        If a fork failed or was killed, its call is made once more here. Raises what a call raises here, and Stopped
        once `stop` is true while this process waits for forks."""
        # First take calls as the forks do, then wait for what they still compute.
        self._take(self._results.__setitem__)
        open_forks = [ours for _, ours in self._forks]
        while open_forks:
            if stop():
                raise Stopped("while forks made their calls")
            for ready in wait(open_forks, timeout=POLL_S):
                assert isinstance(ready, Connection)
                try:
                    number, result = ready.recv()
                    self._results[number] = result
                except EOFError:
                    open_forks.remove(ready)
        return tuple(
            self._results[number] if number in self._results else call() for number, call in enumerate(self._calls)
        )

    def __exit__(self, *_: object) -> None:
        """End the forks, whether or not their calls are made."""
        for process, ours in self._forks:
            process.kill()
            process.join()
            ours.close()
        os.close(self._next)

    def _take(self, give: Callable[[int, Result], None]) -> None:
        """Take calls until none is left, and pass on the number and the result of each."""
        while found := os.read(self._next, 1):
            give(found[0], self._calls[found[0]]())

    def _serve(self, pipe: Connection) -> None:
        """The fork's work: take calls and send their results."""
        # The fork inherits the handlers of the job, which only note a signal: a fork ends at once.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        torch.set_num_threads(1)  # the pool of this process's threads is not there
        with suppress(Exception):  # made again, where it can be said
            self._take(lambda number, result: pipe.send((number, result)))
