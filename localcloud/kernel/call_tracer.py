"""Traces the first call of each of our functions in a process, in order: so a row is followed through the cloud.

The processes of functions, jobs and endpoints load it. It costs nothing until a signal arrives:

    the cloud makes the file `entered`, sends SIGUSR1   -> the tracer finds the file and begins
    a function of ours is called for the first time     -> one line `<process> <file> <function>` in the file
    the cloud deletes the file, sends SIGUSR1           -> the tracer finds no file and stops
"""

from __future__ import annotations

import os
import signal
import sys
from types import CodeType, FrameType

FILE = "MILLRACE_ENTERED"
"""The environment variable with the file's path. The cloud sets it for every process that it starts."""
SIGNAL = signal.SIGUSR1
"""The signal by which the cloud lets a tracer look for the file.

The cloud itself ignores the signal. A process that it starts inherits that, and ignores the signal until its tracer is
loaded. Otherwise the signal would end the process."""
_FUNCTION = 0x01  # CO_OPTIMIZED: the body of a function, not of a module or a class
_IMPORT = "<frozen importlib._bootstrap>"


class CallTracer:
    """Records calls of functions whose files lie below `root`.

    Each is one line `<process> <file> <function>`, such as `4711 functions/intake/handler.py handler`."""

    def __init__(self, file: str, root: str) -> None:
        self._file, self._root = file, f"{root}/"
        self._known: dict[int, CodeType] = {}
        """The code that was seen, by `id`: two code objects with the same text in two files compare as equal.

        The values keep the code objects alive, so that no other object gets the `id` of one of them."""

    def refresh(self) -> None:
        """Begin anew if the file is there, stop if it is not."""
        self._known.clear()
        sys.setprofile(self._called if os.path.exists(self._file) else None)

    def _called(self, frame: FrameType, event: str, _: object) -> None:
        # Python calls this at every call of the thread, so the cheap tests come first and each code is judged once.
        code = frame.f_code
        if event != "call" or id(code) in self._known:
            return
        ours = code.co_filename.startswith(self._root) and code.co_flags & _FUNCTION
        # Not kept in `_known`: the same function may be called again after the import, and counts then.
        if ours and _importing(frame):
            return
        self._known[id(code)] = code
        if ours:
            with open(self._file, "a") as lines:
                lines.write(f"{os.getpid()} {code.co_filename.removeprefix(self._root)} {code.co_qualname}\n")


def _importing(frame: FrameType) -> bool:
    """Whether an import made the call: then it belongs to the set-up of the process, and to no row."""
    # What a module's body calls has the import machinery among the frames above it.
    above = frame.f_back
    while above is not None and above.f_code.co_filename != _IMPORT:
        above = above.f_back
    return above is not None


def trace_on_signal() -> None:
    """Let this process record its calls whenever the cloud asks for it. Our files are those below the working folder.

    Does nothing in a process without the variable FILE, which the cloud did not start."""
    if file := os.environ.get(FILE):
        tracer = CallTracer(file, os.getcwd())
        signal.signal(SIGNAL, lambda *_: tracer.refresh())
        # A process that starts while a row is followed has missed the signal: it looks once by itself.
        tracer.refresh()
