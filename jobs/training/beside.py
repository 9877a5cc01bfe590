"""Calls that forks of this process make beside it, each on a processor of its own."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from typing import Generic, TypeVar

import torch

from jobs.runtime import Stopped
from millrace.models.export import FORKED

Result = TypeVar("Result")
POLL_S = 0.5
"""Between two looks at the stop signal: a wait goes on when a signal has come."""


class Beside(Generic[Result]):
    """Calls of which each is made once, by whichever process comes to it first: a fork, or this one when it asks."""

    def __init__(self, calls: Sequence[Callable[[], Result]]) -> None:
        self._calls = calls
        self._next, write = os.pipe()
        # Its bytes are the calls that are left: to read one is to take it, and no two processes read the same.
        os.write(write, bytes(range(len(calls))))
        os.close(write)
        self._results: dict[int, Result] = {}
        self._forks: list[tuple[multiprocessing.process.BaseProcess, Connection]] = []

    def begin(self, forks: int) -> None:
        """Let as many forks take calls. No other thread of this process may compute."""
        context = multiprocessing.get_context("fork")
        for _ in range(forks):
            ours, theirs = context.Pipe(duplex=False)
            process = context.Process(target=self._serve, args=(theirs,), daemon=True)
            process.start()
            theirs.close()
            self._forks.append((process, ours))

    def results(self, stop: Callable[[], bool] = lambda: False) -> tuple[Result, ...]:
        """In the order of the calls, of which this process makes what is left; raises what a call raises.

        A call whose fork failed or was killed is made once more here. Raises Stopped once `stop` is true while forks
        are waited for."""
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

    def end(self) -> None:
        """End the forks, whether or not their calls are made."""
        for process, ours in self._forks:
            process.kill()
            process.join()
            ours.close()
        os.close(self._next)

    def _take(self, give: Callable[[int, Result], None]) -> None:
        while found := os.read(self._next, 1):
            give(found[0], self._calls[found[0]]())

    def _serve(self, pipe: Connection) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        torch.set_num_threads(1)  # the pool of this process's threads is not there
        with suppress(Exception):  # made again, where it can be said
            self._take(lambda number, result: pipe.send((number, result)))


@contextmanager
def beside(calls: Sequence[Callable[[], Result]], *, processes: int) -> Iterator[Beside[Result]]:
    """The calls are made by up to so many processes at once, this one included, which may do other things first.

    At most 255 calls; their results are pickled. On systems without a safe fork this process makes them all."""
    shared = Beside(calls)
    try:
        shared.begin(min(processes - 1, len(calls)) if FORKED else 0)
        yield shared
    finally:
        shared.end()
