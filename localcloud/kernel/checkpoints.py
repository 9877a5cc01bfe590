"""Checkpoints of a running cloud: a process that stands still keeps a state, and each restore is a fork of it.

    cloud     -- checkpoint "deployed" -->  template: one thread, no process, waits at a Unix socket
                                            └─ fork: a life, the cloud as it was, on the same port
    life      -- its end -->                nothing of it is left
    template  -- restore -->                puts the files back, and forks the next life

A template holds moto's objects as they were, since a fork copies what it writes. The first template is the process
that was started, so whoever started it ends all of them. Only one life is up at a time: it holds a lock on a file,
which the system frees however the life ends."""

from __future__ import annotations

import fcntl
import gc
import os
import queue
import shutil
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

from localcloud.kernel.cloud import Cloud
from localcloud.kernel.fork_server import reap

REST_S = 60.0
"""The most seconds that the threads of a cloud at rest take to end."""
LOOK_S = 1.0
"""Seconds between two looks of a template for lives that have ended."""
APPENDED = ("logs",)
"""Folders of the workspace whose files grow. A checkpoint copies them; other files are written once, and linked."""


class Checkpoints:
    """The checkpoints of one cloud. The main thread makes them: it gets the signals, and a fork has no other thread."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._lock: Any = None
        self._wanted: queue.SimpleQueue[tuple[str, list[Path]]] = queue.SimpleQueue()

    @property
    def folder(self) -> Path:
        return self._cloud.workspace.with_name("checkpoints")

    def ask(self, name: str, beside: list[Path]) -> Path:
        """Have the main thread make a checkpoint once the call is answered. Returns the template's socket.

        `beside` are files outside of the workspace that belong to the state. Raises ValueError if something is under
        way, or if there is a checkpoint of this name."""
        under_way = [line for pending in self._cloud.pending for line in pending()]
        address = self.folder / name / "socket"
        if under_way or address.exists():
            raise ValueError(f"checkpoint: expected a cloud at rest and a new name, got {under_way or name}")
        self._wanted.put((name, beside))
        return address

    def make_when_asked(self) -> NoReturn:
        """Wait for wishes until a signal ends the process. It is called in each life, too, by the same thread."""
        while True:
            name, beside = self._wanted.get()
            self._make(self.folder / name, beside)

    def _make(self, folder: Path, beside: list[Path]) -> None:
        """Make a template of this process. Returns in each of its lives."""
        cloud = self._cloud
        cloud.stop()
        cloud.end_server()
        if left := cloud.threads.join(REST_S):
            raise RuntimeError(f"checkpoint: threads have not ended: {sorted(thread.name for thread in left)}")
        now = cloud.clock.now()
        _save(cloud.workspace, folder / "workspace")
        for file in beside:
            _save(file, folder / file.name)
        # Objects that are not looked through again stay in pages that templates and lives share.
        gc.collect()
        gc.freeze()
        if self._lock:
            self._lock.close()
        with _unix_socket(folder / "socket") as listener:
            answer = _stand_still(listener, lambda: self._put_back(folder, beside), self.folder / "life")
        self._live(now)
        if answer:
            answer.sendall(b"ok\n")
            answer.close()

    def _put_back(self, folder: Path, beside: list[Path]) -> None:
        _restore(folder / "workspace", self._cloud.workspace)
        for file in beside:
            _restore(folder / file.name, file)

    def _live(self, now: datetime) -> None:
        cloud = self._cloud
        self._lock = _locked(self.folder / "life")
        cloud.clock.set(now)
        cloud.resume()

    def end_life(self) -> NoReturn:
        """End this process and those that it has started. The files stay until the next restore."""
        self._cloud.stop()
        os._exit(0)


def _stand_still(listener: socket.socket, put_back: Callable[[], None], life: Path) -> socket.socket | None:
    """Fork a life at once and one for each restore that is asked. Returns only in a life, with whom to answer."""
    interrupt = {number: signal.signal(number, _end_with_lives) for number in (signal.SIGINT, signal.SIGTERM)}
    listener.settimeout(LOOK_S)
    answer: socket.socket | None = None
    while True:
        if os.fork() == 0:
            for number, handler in interrupt.items():
                signal.signal(number, handler)
            return answer
        if answer:
            answer.close()
        answer = _next(listener)
        lock = _locked(life)  # the life before has ended, so nobody writes
        put_back()
        # The process that deletes the old files has the lock's file open, too: to close it here would not free it.
        fcntl.flock(lock, fcntl.LOCK_UN)
        lock.close()


def _next(listener: socket.socket) -> socket.socket:
    """The next client that asks for a restore."""
    while True:
        with suppress(TimeoutError):
            return listener.accept()[0]
        reap(os.WNOHANG)


def _end_with_lives(*_: object) -> NoReturn:
    # The signal came to the whole group: the lives end by it as well.
    reap(0)
    os._exit(0)


@contextmanager
def _unix_socket(path: Path) -> Iterator[socket.socket]:
    """Listens at the path, which may be longer than the system allows for a socket's address."""
    folder = os.open(path.parent, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"/proc/self/fd/{folder}/{path.name}")
        os.close(folder)
        listener.listen()
        yield listener


def _locked(path: Path) -> Any:
    """The open file, whose lock is free again when it is closed or the process ends."""
    file = path.open("w")
    fcntl.flock(file, fcntl.LOCK_EX)
    return file


def _save(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True, copy_function=_link_or_copy, ignore=_sockets)
    elif source.exists():
        shutil.copy2(source, target)


def _restore(saved: Path, place: Path) -> None:
    if place.is_dir():
        # Renamed first, so that the new folder is there at once; the rest is deleted by another process, which may
        # still be at it, or have left something, when the next restore comes: each has a folder of its own.
        away = Path(tempfile.mkdtemp(prefix=f"{place.name}-away-", dir=place.parent))
        place.rename(away / place.name)
        if os.fork() == 0:
            shutil.rmtree(away, ignore_errors=True)
            os._exit(0)
    else:
        place.unlink(missing_ok=True)
    _save(saved, place)


def _link_or_copy(source: str, target: str) -> None:
    if any(f"/{name}/" in source for name in APPENDED):
        shutil.copy2(source, target)
    else:
        os.link(source, target)


def _sockets(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if Path(folder, name).is_socket()]
