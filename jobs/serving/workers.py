"""Several processes that serve side by side; when one dies, all end and the platform starts the container anew."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable


def run_workers(work: Callable[[], None], count: int) -> None:
    """Run `work` in `count` processes and return when all have ended; exits with 1 if one of them failed.

    The model is opened in each worker and not before the fork: its engine has threads of its own."""
    if count == 1:
        signal.signal(signal.SIGTERM, _leave)
        work()
        return
    children: set[int] = set()

    def end(_number: int, _frame: object) -> None:
        for child in children:
            os.kill(child, signal.SIGTERM)

    # A stop signal waits until each process has its handler.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    signal.signal(signal.SIGTERM, _leave)
    children |= {_fork(work) for _ in range(count)}
    signal.signal(signal.SIGTERM, end)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    # One worker's failure ends all: the exit of the container is what the platform notices and mends.
    failed = False
    while children:
        child, status = os.wait()
        children.discard(child)
        if status and not failed:
            failed = True
            end(0, None)
    if failed:
        sys.exit(1)


def _fork(work: Callable[[], None]) -> int:
    child = os.fork()
    if child:
        return child
    # `os._exit` and no return: the child must never run the parent's code after the fork.
    code = 0
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        work()
    except BaseException:
        traceback.print_exc()
        code = 1
    os._exit(code)


def _leave(_number: int, _frame: object) -> None:
    """The signal handler until the server is up: exit at once. An import under way could swallow an exception."""
    os._exit(0)
