"""Reads a stranger's file in a process of its own, bounded in memory and time: a bomb ends that process alone."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
from collections.abc import Callable
from contextlib import closing
from multiprocessing.connection import Connection
from pathlib import Path

from millrace.console.files.grid import Grid, Inside, stop
from millrace.errors import ConfigurationError

MEMORY_BYTES = 4 * 2**30
"""What the process may take beside what it shares with this one: a million rows of 20 columns take about 3 GiB."""
SECONDS = 60
"""Of a processor."""


def read_bounded(read: Callable[[Path, Inside], Grid], path: Path, inside: Inside) -> Grid:
    """What `read` returns. Raises its ConfigurationError, and one for a file that takes more memory or time."""
    ours, theirs = multiprocessing.Pipe(duplex=False)
    # A fork, which has all modules already; it reads the file and uses no thread of this process.
    child = multiprocessing.get_context("fork").Process(target=_serve, args=(read, path, inside, theirs), daemon=True)
    child.start()
    theirs.close()
    with closing(ours):
        try:
            answer = ours.recv()
        except EOFError:
            answer = None
        finally:
            child.kill()
            child.join()
    if answer is None:
        limits = f"{MEMORY_BYTES // 2**30} GiB of memory and {SECONDS} seconds of a processor"
        stop(
            path, "size", f"a file that is read within {limits}; save its rows as CSV or Parquet", "one that takes more"
        )
    if isinstance(answer, Grid):
        return answer
    if isinstance(answer, str):
        stop(path, "content", "a file that can be read", answer)
    raise ConfigurationError(**answer)


def _serve(read: Callable[[Path, Inside], Grid], path: Path, inside: Inside, answers: Connection) -> None:
    """Send the rows, or the fields of the error. A read that is out of memory or time ends without an answer."""
    # Rust tells of memory that it does not get on the standard error, with a trace that helps no user.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    _limit(resource.RLIMIT_AS, _address_space() + MEMORY_BYTES)
    _limit(resource.RLIMIT_CPU, SECONDS)
    signal.signal(signal.SIGXCPU, signal.SIG_DFL)
    try:
        answers.send(read(path, inside))
    except ConfigurationError as error:
        fields = ("where", "field", "expected", "came")
        answers.send({name: getattr(error, name) for name in fields})
    except MemoryError:
        os._exit(1)
    except Exception as error:  # what a library makes of a stranger's bytes
        answers.send(f"{type(error).__name__}: {error}"[:500])


def _limit(kind: int, most: int) -> None:
    hard = resource.getrlimit(kind)[1]
    resource.setrlimit(kind, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def _address_space() -> int:
    """The bytes that this process has mapped; a terabyte where the system does not say, such as macOS."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except FileNotFoundError:
        return 2**40
