"""Serves the console on this machine's own address, until it is interrupted."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from millrace.console.environment import Environment
from millrace.console.web.app import console_app
from millrace.console.web.guard import Guard
from millrace.errors import EnvironmentNotFoundError

HOST = "127.0.0.1"
"""Nothing outside of this machine reaches it."""
GRACE_S = 2
"""How long a page that is being made delays the end."""
REQUEST_S = 10.0
"""A connection without a whole request for so long is closed."""
MOST_CONNECTIONS = 100
"""Of more, the one that has waited longest for its request is closed. A browser opens six."""


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
        said(guard.url)
        try:
            uvicorn.Server(configured(guard)).run(sockets=[listener])
        finally:
            close()


def configured(app: ASGIApp, *, request_s: float = REQUEST_S, most: int = MOST_CONNECTIONS) -> uvicorn.Config:
    """How uvicorn serves the console. By itself it waits for the end of a request for good."""
    kept: list[Connection] = []

    class Connection(H11Protocol):
        ends: asyncio.TimerHandle

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as H11Protocol
            super().connection_made(transport)
            self.ends = self.loop.call_later(request_s, self.end)
            # uvicorn's `limit_concurrency` would refuse the good request in place of those that never come.
            kept.append(self)
            if len(kept) > most:
                min((one for one in kept if one.waits), key=lambda one: one.ends.when()).end()

        @property
        def waits(self) -> bool:
            """Whether its next request is not whole yet."""
            return self.cycle is None or self.cycle.response_complete or self.cycle.more_body

        def end(self) -> None:
            if self.waits and self in kept:
                kept.remove(self)
                self.transport.close()

        def on_response_complete(self) -> None:
            self.ends.cancel()
            self.ends = self.loop.call_later(request_s, self.end)
            super().on_response_complete()

        def connection_lost(self, exc: Exception | None) -> None:
            self.ends.cancel()
            if self in kept:
                kept.remove(self)
            super().connection_lost(exc)

    # No log of requests: the first one has the secret in its address.
    return uvicorn.Config(app, http=Connection, log_config=None, access_log=False, server_header=False, lifespan="off",
                          timeout_graceful_shutdown=GRACE_S)  # fmt: skip
