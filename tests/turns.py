"""Threads that take turns at each call of AWS, in a drawn order; some are killed there, and begin again."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import product
from threading import Semaphore, Thread, local
from typing import Any

KILLED = 0.03
"""Of the calls of AWS, before or after which a thread is killed."""


class Killed(BaseException):
    """Nothing catches it."""


class Turns:
    """Lets one thread go on at a time, to its next call by one of the clients or the end of this one."""

    def __init__(self, *clients: Any) -> None:
        self._clients, self._own, self._waits, self._dies = clients, local(), Semaphore(0), False
        self.kills = 0

    def _take(self, **_: object) -> None:
        """Wait until it is this thread's turn."""
        if go := getattr(self._own, "go", None):
            self._waits.release()
            go.acquire()
            if self._dies:
                self.kills += 1
                raise Killed

    def run(self, works: Sequence[Callable[[], object]], chance: random.Random) -> None:
        """Do all works, in a thread each. One that is killed begins again."""
        left = {Semaphore(0): work for work in works}

        def live(go: Semaphore, work: Callable[[], object]) -> None:
            self._own.go, done = go, False
            try:
                while not done:
                    with suppress(Killed):
                        self._take()
                        work()
                        done = True
            finally:
                del left[go]
                self._waits.release()

        events = [(client.meta.events, f"{when}-call") for client, when in product(self._clients, ("before", "after"))]
        for emitter, event in events:
            emitter.register(event, self._take)
        for each in left.items():
            Thread(target=live, args=each, daemon=True).start()
        for _ in works:
            assert self._waits.acquire(timeout=60)
        while left:
            self._dies = chance.random() < KILLED
            chance.choice([*left]).release()
            assert self._waits.acquire(timeout=60), "a thread waits for another one"
        for emitter, event in events:
            emitter.unregister(event, self._take)
