"""A process of an image that has imported its large libraries, and forks itself for each job.

Runs in the image as `python -m fork_server ADDRESS`, so all that is imported is the image's own; of our code a job
imports everything itself. Who connects to the Unix socket sends one line, `{"module": "jobs.training", "arguments":
["train"], "environment": {…}, "cwd": "…", "log": "…"}`, and is answered by two: the id of the job's process, which is
that of its group, and at its end its exit code, below 0 that of the signal that ended it, as Python counts.
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
from contextlib import suppress
from typing import Any, NoReturn

LARGE = ("numpy", "pyarrow.parquet", "pydantic", "yaml", "torch", "torch._dynamo")
"""What jobs import, as far as the image has it; none of it computes anything or begins a thread of its own yet."""


def main(address: str) -> None:
    """Serve until the process is ended; in a job, run its module as `python -m` does."""
    for name in LARGE:
        with suppress(ImportError):
            importlib.import_module(name)
    job = _serve(address)
    sys.argv[:] = [job["module"], *job["arguments"]]
    runpy.run_module(job["module"], run_name="__main__", alter_sys=True)


def _serve(address: str) -> dict[str, Any]:
    """Returns only in the process of a job: what was asked for."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # those that wait for the jobs end unseen
    with socket.socket(socket.AF_UNIX) as listener:
        folder, name = os.path.split(address)
        descriptor = os.open(folder, os.O_RDONLY)
        listener.bind(f"/proc/self/fd/{descriptor}/{name}.begun")  # the address itself may be too long
        os.close(descriptor)
        listener.listen()
        os.rename(f"{address}.begun", address)  # whoever finds it can connect
        while True:
            connection, _ = listener.accept()
            with connection:
                if os.fork() == 0:
                    listener.close()
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    return _begin(connection)


def _begin(connection: socket.socket) -> dict[str, Any]:
    """As `_serve`: the process that waits for the job ends here."""
    with connection.makefile() as lines:
        job: dict[str, Any] = json.loads(lines.readline())
    process = os.fork()
    if process:
        _wait(process, connection)
    connection.close()
    with suppress(PermissionError):
        os.setpgid(0, 0)
    output = os.open(job["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
    os.chdir(job["cwd"])
    os.environ.clear()
    os.environ.update(job["environment"])
    tempfile.tempdir = None
    importlib.import_module("call_tracer").trace_on_signal()  # which lies beside this file in an image
    return job


def _wait(process: int, connection: socket.socket) -> NoReturn:
    # Before anybody knows of it, so that whoever ends the group finds it; the job itself does the same.
    with suppress(PermissionError, ProcessLookupError):
        os.setpgid(process, process)
    connection.sendall(f"{process}\n".encode())
    _, status = os.waitpid(process, 0)
    with suppress(OSError):
        connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
