"""The first file of a function's process: sets the import path of AWS's Python runtime, then runs AWS's own client.

It is started as `python -I -S function_main.py MOVES FOLDERS HANDLER`. The options keep the host's packages and
environment off the path. MOVES is the file that says by how much the cloud's clock was moved. FOLDERS are those in
front of the standard library, joined by `:`."""

from __future__ import annotations

import atexit
import io
import os
import runpy
import sys
import time
from importlib.util import module_from_spec, spec_from_file_location


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
    moves, folders, handler = sys.argv[1:]
    sys.path[:0] = folders.split(":")
    # On AWS a bundle is read-only. Here its folder must stay as it was staged.
    sys.dont_write_bytecode = True
    sys.stdout, sys.stderr = Lines(1), Lines(2)
    atexit.register(sys.stdout.end)
    atexit.register(sys.stderr.end)
    _trace_calls()
    _age_with_moves(moves)
    sys.argv = ["bootstrap", handler]
    runpy.run_module("awslambdaric", run_name="__main__")


def _age_with_moves(path: str) -> None:
    """Let `time.monotonic` run on by as much as the cloud's clock is moved, before a module keeps it.

    What a function has read and keeps for ten seconds is old after a move by a day."""
    monotonic, descriptor = time.monotonic, os.open(path, os.O_RDONLY)
    time.monotonic = lambda: monotonic() + float(os.pread(descriptor, 32, 0))


def _trace_calls() -> None:
    """Load the call tracer from its file, since the repository is not on the import path of a function."""
    path = os.path.join(os.path.dirname(os.path.dirname(__file__)), "kernel", "call_tracer.py")
    spec = spec_from_file_location("call_tracer", path)
    assert spec is not None
    assert spec.loader is not None
    call_tracer = module_from_spec(spec)
    spec.loader.exec_module(call_tracer)
    call_tracer.trace_on_signal()


if __name__ == "__main__":
    main()
