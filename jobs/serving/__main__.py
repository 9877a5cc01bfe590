"""The entry point of a serving container: `serve`. Several processes serve side by side.

If one of them dies, all end, and the platform starts the container anew."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable

from millrace.artefact.artefact import read_folder
from millrace.errors import MillraceError
from millrace.jobs import runtime
from millrace.jobs.serving.server import listen, serve
from millrace.serving.settings import Settings


def main() -> None:
    """Answer until SIGTERM. Each worker process holds the model once."""
    # What can be wrong is found before a worker starts: the settings, the artefact's digest, the port.
    settings = Settings.read(os.environ)
    artefact = read_folder(runtime.ml_root() / "model", approved=settings.model_digest)
    listener = listen(settings.bind, settings.port)

    def work() -> None:
        from millrace.artefact.inference import Model
        from millrace.jobs.serving.open_inference import OpenInference
        from millrace.serving.application import Application

        application = Application(Model(artefact), settings)
        serve(listener, application, settings, OpenInference(application, artefact.description, settings))

    print(f"serving model version {settings.model_version} on port {settings.port}", flush=True)
    run_workers(work, settings.workers)


def run_workers(work: Callable[[], None], count: int) -> None:
    """Run `work` in `count` processes, and return once all have ended. Exits with 1 if one of them failed.

    `work` opens the model itself, so each process does it after the fork: a fork would lose the threads of the model's
    engine."""
    if count == 1:
        signal.signal(signal.SIGTERM, _leave)
        work()
        return
    children: set[int] = set()

    def end(_number: int, _frame: object) -> None:
        for child in children:
            os.kill(child, signal.SIGTERM)

    # SIGTERM is held back while the processes fork. Each child inherits `_leave` and lets the signal in; the parent
    # does so once it knows all children and can pass the signal on.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    signal.signal(signal.SIGTERM, _leave)
    children |= {_fork(work) for _ in range(count)}
    signal.signal(signal.SIGTERM, end)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    # The failure of one worker ends all: the platform only notices and mends the exit of the container.
    failed = False
    while children:
        child, status = os.wait()
        children.discard(child)
        if status and not failed:
            failed = True
            end(0, None)
    if failed:
        sys.exit(1)


def _fork(work: Callable[[], None]) -> int:
    """Run `work` in a child process, and return its process id. Only the parent returns."""
    child = os.fork()
    if child:
        return child
    # The child ends by `os._exit`: it must never run the parent's code behind the fork.
    code = 0
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        work()
    except BaseException:
        traceback.print_exc()
        code = 1
    os._exit(code)


def _leave(_number: int, _frame: object) -> None:
    """The signal handler until the server is up: exit at once.

    It raises no exception, which an import under way could swallow."""
    os._exit(0)


if __name__ == "__main__":
    try:
        main()
    except MillraceError as error:
        sys.exit(f"{type(error).__name__}: {error}")
