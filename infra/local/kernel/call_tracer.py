"""Trace the first call of each of our functions in a process, in order, while a row is followed through the cloud.

It is loaded into the processes of functions, jobs and endpoints and costs nothing until a signal makes it check
whether the cloud's file is there. While it is, each function of ours that is called gets one line in it."""

from __future__ import annotations

import os
import signal
import sys
from types import CodeType, FrameType

FILE = "MILLRACE_ENTERED"
"""The variable with the file's path; the cloud sets it for every process that it starts."""
SIGNAL = signal.SIGUSR1
"""The cloud ignores it, and so does each process that it starts until its tracer is loaded."""
_FUNCTION = 0x01  # CO_OPTIMIZED: the body of a function, not of a module or a class
_IMPORT = "<frozen importlib._bootstrap>"


class CallTracer:
    """Records calls of functions whose files lie below `root`, one line `<process> <file> <function>` each."""

    def __init__(self, file: str, root: str) -> None:
        self._file, self._root = file, f"{root}/"
        self._known: dict[int, CodeType] = {}
        """By identity: code of equal text in two files is equal. The value keeps the identity from being used anew."""

    def refresh(self) -> None:
        """Begin anew when the file is there, stop when it is not."""
        self._known.clear()
        sys.setprofile(self._called if os.path.exists(self._file) else None)

    def _called(self, frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event != "call" or id(code) in self._known:
            return
        ours = code.co_filename.startswith(self._root) and code.co_flags & _FUNCTION
        if ours and _importing(frame):
            return
        self._known[id(code)] = code
        if ours:
            with open(self._file, "a") as lines:
                lines.write(f"{os.getpid()} {code.co_filename.removeprefix(self._root)} {code.co_qualname}\n")


def _importing(frame: FrameType) -> bool:
    """Whether the call belongs to an import, so to the set-up of the process."""
    # What a module's body calls has the import machinery among the frames above it.
    above = frame.f_back
    while above is not None and above.f_code.co_filename != _IMPORT:
        above = above.f_back
    return above is not None


def trace_on_signal() -> None:
    """Record the calls of this process whenever the cloud asks; its files are those below the working folder."""
    if file := os.environ.get(FILE):
        tracer = CallTracer(file, os.getcwd())
        signal.signal(SIGNAL, lambda *_: tracer.refresh())
        tracer.refresh()
