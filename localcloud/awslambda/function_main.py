"""The first file of a function's process: sets the import path of AWS's Python runtime, then runs AWS's own client.

It is started as `python -I -S function_main.py FOLDERS HANDLER`. The options keep the host's packages and environment
off the path. FOLDERS are those in front of the standard library, joined by `:`."""

from __future__ import annotations

import atexit
import importlib
import io
import os
import runpy
import sys
import time
from importlib.util import module_from_spec, spec_from_file_location
from types import SimpleNamespace
from typing import Any


class Lines(io.TextIOBase):
    """Writes whole lines to a descriptor, each in one piece.

    The workers of a function append to one log, and AWS's client flushes after each part of a line. Without this class
    the lines of two workers would run into each other, and with them the metrics that lines hold."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._rest = ""

    def write(self, text: str) -> int:
        complete, newline, self._rest = (self._rest + text).rpartition("\n")
        if newline:
            self._put(complete + newline)
        return len(text)

    def end(self) -> None:
        """Write the last line, if it has no line break."""
        self._put(self._rest)
        self._rest = ""

    def fileno(self) -> int:
        return self._descriptor

    def writable(self) -> bool:
        return True

    def _put(self, text: str) -> None:
        data = text.encode(errors="backslashreplace")
        # `os.write` may take a part only, and says how many bytes it took.
        while data:
            data = data[os.write(self._descriptor, data) :]


def main() -> None:
    folders, handler = sys.argv[1:]
    sys.path[:0] = folders.split(":")
    # On AWS a bundle is read-only. Here its folder must stay as it was staged.
    sys.dont_write_bytecode = True
    sys.stdout, sys.stderr = Lines(1), Lines(2)
    atexit.register(sys.stdout.end)
    atexit.register(sys.stderr.end)
    _of_kernel("call_tracer").trace_on_signal()
    _live_in_cloud_time()
    sys.argv = ["bootstrap", handler]
    runpy.run_module("awslambdaric", run_name="__main__")


def _live_in_cloud_time() -> None:
    """Let the function live in the cloud's time, and `time.monotonic` run on by as much as the clock is moved.

    What a function has read and keeps for ten seconds is old after a move by a day. The time that is left to an
    invocation is the machine's: a move while it runs takes nothing of it."""
    cloud_time = _of_kernel("cloud_time")
    offset, monotonic = cloud_time.live_in_cloud_time(), time.monotonic
    start = offset[0]
    time.monotonic = lambda: monotonic() + (offset[0] - start) / cloud_time.NANOSECONDS
    context: Any = importlib.import_module("awslambdaric.lambda_context")
    context.time = SimpleNamespace(time=cloud_time.machine_time)


def _of_kernel(name: str) -> Any:
    """A module of the kernel, from its file, since the repository is not on the import path of a function."""
    path = os.path.join(os.path.dirname(os.path.dirname(__file__)), "kernel", f"{name}.py")
    spec = spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main()
