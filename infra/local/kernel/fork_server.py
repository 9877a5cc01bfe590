"""A process that has imported large libraries, and forks itself for each program that needs them.

Runs as `python fork_server.py ADDRESS MODULES [FOLDERS]`: imports the MODULES, joined by commas, as far as they are
there, from the FOLDERS, joined by colons, in front of the standard library. Whoever connects to the Unix socket sends
one line, `{"arguments": […], "environment": {…}, "cwd": "…", "log": "…"}`, the arguments as the interpreter takes
them: `-m` and a module, or a file. The answer is two lines: the id of the program's process, which is that of its
group, and at its end its exit code, below 0 that of the signal that ended it, as Python counts.
"""

from __future__ import annotations

import importlib
import json
import os
import runpy
import signal
import socket
import sys
import tempfile
import time
from contextlib import suppress
from typing import Any, NoReturn

ORPHANED_S = 1.0
"""How often the server looks whether the process that started it is still there; without that it ends."""


def main(address: str, modules: str, folders: str = "") -> None:
    """Serve until the process is ended; in a fork, run its program as the interpreter does."""
    parent, path = os.getppid(), list(sys.path)
    sys.path[:0] = [folder for folder in folders.split(":") if folder]
    for name in modules.split(","):
        with suppress(ImportError):
            importlib.import_module(name)
    first, *words = _serve(address, parent)["arguments"]
    sys.path[:] = path
    if first == "-m":
        importlib.import_module("call_tracer").trace_on_signal()  # which lies beside this file in an image
        sys.argv[:] = words
        runpy.run_module(words[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv[:] = [first, *words]
        runpy.run_path(first, run_name="__main__")


def _serve(address: str, parent: int) -> dict[str, Any]:
    """Returns only in the process of a program: what is to run."""
    # Those that wait for the programs are waited for themselves, so that the cloud knows the seconds that all used.
    signal.signal(signal.SIGCHLD, lambda *_: _reap(os.WNOHANG))
    signal.signal(signal.SIGTERM, _end)
    with socket.socket(socket.AF_UNIX) as listener:
        folder, name = os.path.split(address)
        descriptor = os.open(folder, os.O_RDONLY)
        listener.bind(f"/proc/self/fd/{descriptor}/{name}.begun")  # the address itself may be too long
        os.close(descriptor)
        listener.listen()
        listener.settimeout(ORPHANED_S)
        os.rename(f"{address}.begun", address)  # whoever finds it can connect
        while True:
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                if os.getppid() != parent:
                    sys.exit("the cloud ended")
                continue
            with connection:
                if os.fork() == 0:
                    listener.close()
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # who waits for a program ends with that
                    return _begin(connection)


def _reap(options: int) -> None:
    with suppress(ChildProcessError):
        while os.waitpid(-1, options)[0]:
            continue


def _end(_number: int, _frame: object) -> NoReturn:
    """Once all programs have ended, which have got the signal too."""
    _reap(0)
    os._exit(0)


def _begin(connection: socket.socket) -> dict[str, Any]:
    """As `_serve`: the process that waits for the program ends here."""
    connection.settimeout(None)
    with connection.makefile() as lines:
        wanted: dict[str, Any] = json.loads(lines.readline())
    process = os.fork()
    if process:
        _wait(process, connection)
    connection.close()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with suppress(PermissionError):
        os.setpgid(0, 0)
    output = os.open(wanted["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
    os.chdir(wanted["cwd"])
    os.environ.clear()
    os.environ.update(wanted["environment"])
    time.tzset()
    tempfile.tempdir = None
    return wanted


def _wait(process: int, connection: socket.socket) -> NoReturn:
    # Before anybody knows of it, so that whoever ends the group finds it; the program itself does the same.
    with suppress(PermissionError, ProcessLookupError):
        os.setpgid(process, process)
    connection.sendall(f"{process}\n".encode())
    _, status = os.waitpid(process, 0)
    with suppress(OSError):
        connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
