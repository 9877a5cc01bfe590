"""Ends what a killed cloud leaves. It runs beside the cloud as `python guardian.py MARK`, in a session of its own.

Its input is a pipe whose other end only the cloud and its forks hold: the end of the pipe is the end of the cloud,
however that came. Then it kills each process whose environment has the mark. A cloud that stopped has left none."""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress

ROUNDS, PAUSE_S = 20, 0.1
"""A process may be forking another one while it is found, so the guardian looks again until it finds none."""


def main(mark: str) -> None:
    sys.stdin.read()
    for _ in range(ROUNDS):
        if not sum(map(_end, _find(mark.encode()))):
            return
        time.sleep(PAUSE_S)


def _find(mark: bytes) -> list[int]:
    found = []
    for name in filter(str.isdigit, os.listdir("/proc") if os.path.isdir("/proc") else ()):
        with suppress(OSError), open(f"/proc/{name}/environ", "rb") as environment:
            if mark in environment.read().split(b"\0"):
                found.append(int(name))
    return found


def _end(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
        return True
    return False


if __name__ == "__main__":
    main(sys.argv[1])
