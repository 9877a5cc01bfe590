"""The threads of one cloud. Each is kept from its start, so that the end of the cloud can wait for it."""

from __future__ import annotations

import threading
import time

PRUNED_FROM = 256
"""Above this number of kept threads, those that have ended are forgotten."""


class Threads:
    """A list of threads. A thread may be appended before or after its start."""

    def __init__(self) -> None:
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()

    def append(self, thread: threading.Thread) -> None:
        with self._lock:
            if len(self._threads) > PRUNED_FROM:
                self._threads = [one for one in self._threads if not _has_ended(one)]
            self._threads.append(thread)

    def join(self, within_s: float) -> list[threading.Thread]:
        """Wait at most `within_s` seconds in all, and return the threads that have not ended.

        Threads that were started meanwhile count too."""
        deadline = time.monotonic() + within_s
        # Looked up anew after each thread: a thread that ends may have started another one.
        while (running := self._running()) and (left_s := deadline - time.monotonic()) > 0:
            running[0].join(left_s)
        return running

    def _running(self) -> list[threading.Thread]:
        with self._lock:
            self._threads = [one for one in self._threads if not _has_ended(one)]
            return [one for one in self._threads if one.is_alive() and one is not threading.current_thread()]


def _has_ended(thread: threading.Thread) -> bool:
    # A thread that was not started yet is not alive either. It has no `ident`, so it is kept.
    return thread.ident is not None and not thread.is_alive()
