"""Serves the console on this machine's own address, until it is interrupted."""

from __future__ import annotations

import socket
from collections.abc import Callable

import uvicorn

from console.environment import Environment
from console.web.app import console_app
from console.web.guard import Guard
from millrace.errors import EnvironmentNotFoundError

HOST = "127.0.0.1"
"""Nothing outside of this machine reaches it."""
GRACE_S = 2
"""How long a page that is being made delays the end."""


def serve(environment: Environment, *, port: int, said: Callable[[str], None]) -> None:
    """Serve at the port, or at a free one for 0. `said` is called with the address once it answers.

    Raises EnvironmentNotFoundError if the port is taken."""
    try:
        listener = socket.create_server((HOST, port))
    except OSError as error:
        raise EnvironmentNotFoundError(f"--port: expected a free port, got {port}: {error.strerror}") from None
    with listener:
        app, close = console_app(environment)
        guard = Guard(app=app, origin=f"http://{HOST}:{listener.getsockname()[1]}")
        # No log of requests: the first one has the secret in its address.
        config = uvicorn.Config(guard, log_config=None, access_log=False, server_header=False, lifespan="off",
                                timeout_graceful_shutdown=GRACE_S)  # fmt: skip
        said(guard.url)
        try:
            uvicorn.Server(config).run(sockets=[listener])
        finally:
            close()
