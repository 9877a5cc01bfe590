"""A process that has imported large libraries, and forks itself for each program that needs them.

Runs as `python fork_server.py ADDRESS MODULES [FOLDERS]`. It imports the MODULES (joined by commas), as far as they
are installed, from the FOLDERS (joined by colons), which come in front of the standard library. Then it listens at the
Unix socket ADDRESS. Each connection starts one program:

    client -> {"arguments": ["-m", "millrace.jobs.training.job"], "environment": {…}, "cwd": "…", "log": "…"}
    server -> 4711            the id of the program's process and of its process group, as soon as it runs
    server -> 0               its exit code, when it has ended; -9 if the signal 9 ended it, as Python counts

The arguments are those that the interpreter takes: `-m` and a module, or a file. Three processes take part:

    server    accepts connections, and forks a waiter for each
    waiter    forks the program, waits for it, and sends both lines
    program   takes environment, folder and log of the request, and runs it
"""

from __future__ import annotations

import ctypes
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

_CLONE_NEWNET = 0x40000000
"""From Linux's <linux/sched.h>: a network for this process and its children. From Python 3.12 on `os.unshare`."""
ORPHANED_S = 1.0
"""Seconds between two looks of the server whether the process that started it is still there. If not, it ends."""


def main(address: str, modules: str, folders: str = "") -> None:
    """Serve until the process is ended. In the fork of a program, run the program as the interpreter does."""
    parent, path = os.getppid(), list(sys.path)
    sys.path[:0] = [folder for folder in folders.split(":") if folder]
    for name in modules.split(","):
        with suppress(ImportError):
            importlib.import_module(name)
    # In the server this call never returns. What follows happens in the fork of a program.
    first, *words = _serve(address, parent)["arguments"]
    # The program finds the import path that its interpreter would have given it.
    sys.path[:] = path
    if first == "-m":
        importlib.import_module("call_tracer").trace_on_signal()  # which lies beside this file in an image
        sys.argv[:] = words
        runpy.run_module(words[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv[:] = [first, *words]
        runpy.run_path(first, run_name="__main__")


def _serve(address: str, parent: int) -> dict[str, Any]:
    """Accept connections for ever. Returns only in the process of a program, with the request that says what to run."""
    # The server waits for its waiters, as they wait for their programs. So the CPU seconds of all of them count as the
    # server's, and with it as the cloud's.
    signal.signal(signal.SIGCHLD, lambda *_: reap(os.WNOHANG))
    signal.signal(signal.SIGTERM, _end)
    with socket.socket(socket.AF_UNIX) as listener:
        # The path of a socket has at most some hundred bytes, and a workspace may lie deeper. So the path goes by the
        # descriptor of its folder.
        folder, name = os.path.split(address)
        descriptor = os.open(folder, os.O_RDONLY)
        listener.bind(f"/proc/self/fd/{descriptor}/{name}.begun")
        os.close(descriptor)
        listener.listen()
        listener.settimeout(ORPHANED_S)
        # Renamed only now: a client that finds the file can connect.
        os.rename(f"{address}.begun", address)
        while True:
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                # The system gives a process whose parent has ended another parent.
                if os.getppid() != parent:
                    sys.exit("the cloud ended")
                continue
            with connection:
                if os.fork() == 0:
                    listener.close()
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    # The waiter outlives TERM, so that it can send the exit code of its program.
                    signal.signal(signal.SIGTERM, signal.SIG_IGN)
                    return _begin(connection)


def reap(options: int) -> None:
    """Collect the children that have ended, and with them their CPU seconds; with `options` 0, wait for all."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, options)[0]:
            continue


def _end(_number: int, _frame: object) -> NoReturn:
    """End the server upon TERM, once all its programs have ended. They have got the signal too."""
    reap(0)
    os._exit(0)


def _begin(connection: socket.socket) -> dict[str, Any]:
    """Fork the program. Returns only in the program's process, with its request; the waiter ends in `_wait`."""
    connection.settimeout(None)
    with connection.makefile() as lines:
        wanted: dict[str, Any] = json.loads(lines.readline())
    process = os.fork()
    if process:
        _wait(process, connection)
    # From here on the process becomes what `subprocess.Popen` would have started: its own group, output, folder and
    # environment, and nothing of the server's that a library has kept (the time zone, the temporary folder).
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
    if wanted["has_own_network"]:
        # The server's own would be shared: two jobs at once could not listen on one port, as two containers can.
        if ctypes.CDLL(None).unshare(_CLONE_NEWNET):
            raise OSError("expected a network of its own, got none")
        importlib.import_module("loopback").switch_on()  # which lies beside this file in an image
    return wanted


def _wait(process: int, connection: socket.socket) -> NoReturn:
    """Send the program's id, wait for its end and send its exit code."""
    # Both the waiter and the program put the program into its group, since either may run first. The client learns the
    # id only afterwards, so a signal to the group always reaches the program.
    with suppress(PermissionError, ProcessLookupError):
        os.setpgid(process, process)
    connection.sendall(f"{process}\n".encode())
    _, status = os.waitpid(process, 0)
    with suppress(OSError):
        connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
