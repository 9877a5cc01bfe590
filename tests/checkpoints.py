"""Checkpoints of a local cloud in a process of its own, as tests ask for them and go back to them."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from millrace.console.local_cloud.local_cloud import LocalCloud
from tests.localcloud.control import control
from tests.localcloud.waiting import until

BROKEN = (ConnectionError, TimeoutError)
"""What a client of a life that ends may get, in place of an answer."""


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A state of a cloud, to which the cloud can go back any number of times."""

    cloud: LocalCloud
    address: Path
    """The socket of the template."""

    def restore(self) -> None:
        """Returns when the cloud is up as it was then. The life before was ended (`end_life`)."""
        with socket.socket(socket.AF_UNIX) as asking:
            folder = os.open(self.address.parent, os.O_RDONLY)
            try:
                asking.connect(f"/proc/self/fd/{folder}/{self.address.name}")
            finally:
                os.close(folder)
            assert asking.recv(3) == b"ok\n"


def checkpoint(cloud: LocalCloud, name: str, build: Path, beside: Sequence[Path] = ()) -> Checkpoint:
    """Make a checkpoint of the cloud of this build folder, which is at rest. Returns when the cloud is up again."""
    with suppress(*BROKEN):
        call(cloud, "checkpoint", {"name": name, "beside": [str(file) for file in beside]})
    address = build / "checkpoints" / name / "socket"
    until(address.is_socket)
    assert control(cloud.endpoint_url, "clock", secret=cloud.secret)["now"]
    return Checkpoint(cloud=cloud, address=address)


def end_life(cloud: LocalCloud, build: Path) -> None:
    """End the cloud as it is, if it is up: a request that nobody takes would wait for the next life, and end it."""
    with (build / "checkpoints" / "life").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with suppress(*BROKEN):
                call(cloud, "end-life", {})
            fcntl.flock(lock, fcntl.LOCK_EX)


def call(cloud: LocalCloud, route: str, body: dict[str, Any]) -> Any:
    return control(cloud.endpoint_url, route, body, secret=cloud.secret)
