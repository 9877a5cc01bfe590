"""Reads a stranger's file in a process of its own, whose memory and time of a processor are bounded.

A library that reads such a file may end its process or take all memory. Then this one alone ends."""

from __future__ import annotations

import os
import pickle  # nosec B403 - both ends are ours
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from millrace.errors import MillraceError

T = TypeVar("T")
KEPT = ("LD_LIBRARY_PATH", "PATH", "TMPDIR")
"""The variables of the environment that the process gets; credentials are not among them."""


def read_bounded(
    read: Callable[..., Iterable[T]], *given: Any, memory_bytes: int, cpu_s: int
) -> Generator[T, None, None]:
    """What `read(*given)` yields in the process. `read` is a function of a module.

    Raises its errors, MemoryError if it takes more memory or time than it may, and ChildProcessError if a signal ends
    the process. macOS bounds the time alone."""
    environment = {name: os.environ[name] for name in KEPT if name in os.environ}
    # Arrow's own allocators keep memory that it has given back; the system's returns it.
    environment |= {"PYTHONPATH": os.pathsep.join(sys.path), "ARROW_DEFAULT_MEMORY_POOL": "system"}
    command = [sys.executable, "-P", "-c", f"from {__name__} import serve; serve()"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, env=environment) as process:
        try:
            assert process.stdin
            with suppress(BrokenPipeError), process.stdin as request:
                pickle.dump((memory_bytes, cpu_s, read, given), request)
            while answer := _receive(process):
                value, error = answer
                if error:
                    raise error()
                yield value
        finally:
            process.kill()


def _receive(process: subprocess.Popen[bytes]) -> tuple[Any, Callable[[], Exception] | None] | None:
    """A value, or what makes the error that ended the reading; None if all is read."""
    assert process.stdout
    try:
        answer: tuple[Any, Callable[[], Exception] | None] | None = pickle.load(process.stdout)  # noqa: S301 # nosec B301
        return answer
    except (EOFError, pickle.UnpicklingError):
        status = process.wait()
    if status in (-signal.SIGXCPU, -signal.SIGKILL):
        raise MemoryError
    if status < 0:
        raise ChildProcessError(f"the reader ended by {signal.Signals(-status).name}")
    raise RuntimeError(f"the reader ended with status {status}")


def serve() -> None:
    """Answer the one request that comes by the standard input."""
    memory_bytes, cpu_s, read, given = pickle.load(sys.stdin.buffer)  # noqa: S301 # nosec B301
    for kind, most in ((resource.RLIMIT_DATA, memory_bytes), (resource.RLIMIT_CPU, cpu_s), (resource.RLIMIT_CORE, 0)):
        resource.setrlimit(kind, (most, most))
    try:
        for value in read(*given):
            _send((value, None))
        _send(None)
    except MillraceError as error:
        _send((None, partial(type(error), **vars(error))))
    except Exception as error:  # raised again where the file is asked for
        _send((None, partial(type(error), *error.args)))


def _send(answer: object) -> None:
    pickle.dump(answer, sys.stdout.buffer)
    sys.stdout.buffer.flush()
