"""Keeps commands from doing one thing at the same time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """While the block runs, another command that comes here with the same folder waits."""
    # The lock is on the folder itself, so there is no lock file to remove. The system frees it when the process ends.
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
