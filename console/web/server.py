"""Serves the console to this machine's browser alone: on its own address, by a secret, and from its own origin."""

from __future__ import annotations

import hmac
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from secrets import token_urlsafe

import uvicorn
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from millrace.console.environment import Environment
from millrace.console.web.app import console_app
from millrace.errors import EnvironmentNotFoundError

HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'unsafe-inline'; "
    "img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    # `no-referrer` would make the Origin of our own forms `null`.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
"""Of every answer: nothing is kept, framed, or loaded from elsewhere, and no script runs but those of `/static`.

https://cheatsheetseries.owasp.org/cheatsheets/HTTP_Headers_Cheat_Sheet.html"""
OPEN = "/open"
"""The path that takes the secret."""


@dataclass(kw_only=True)
class Guard:
    """Answers what may not come in; the rest it hands on to `app`."""

    app: ASGIApp
    origin: str
    """Scheme, host and port by which a browser reaches the console: `http://127.0.0.1:8123`."""
    secret: str = field(default_factory=token_urlsafe)
    """Opens the console once; empty afterwards."""
    session: str = field(default_factory=token_urlsafe, repr=False)
    """The value of the cookie that the browser gets for the secret."""

    @property
    def url(self) -> str:
        """The address that opens the console once."""
        return f"{self.origin}{OPEN}?secret={self.secret}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # No page opens a websocket.
        if scope["type"] != "http":
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        answer = self._answer(Request(scope)) or self.app
        await answer(scope, receive, send_with_headers)

    def _answer(self, request: Request) -> Response | None:
        """The answer to a request that is not handed on; None for one that is."""
        host = self.origin.removeprefix("http://")
        # A name of another owner may lead to this machine (DNS rebinding): then the host is that name.
        if request.headers.get("host") != host:
            return _refusal(421, f"expected the host {host}")
        if request.method not in ("GET", "HEAD", "POST"):
            return _refusal(405, "expected GET or POST")
        # A browser sends the origin with every POST, so that one without it comes from no page of ours.
        if request.method == "POST" and request.headers.get("origin") != self.origin:
            return _refusal(403, f"expected the origin {self.origin}")
        if hmac.compare_digest(request.cookies.get(self._cookie, "").encode(), self.session.encode()):
            return RedirectResponse("/", status_code=303) if request.url.path == OPEN else None
        if request.method == "GET" and request.url.path == OPEN and self._takes(request.query_params.get("secret", "")):
            # The redirection takes the secret out of the address.
            opened = RedirectResponse("/", status_code=303)
            opened.set_cookie(self._cookie, self.session, httponly=True, samesite="strict")
            return opened
        return _refusal(403, "expected the address that `millrace console` printed; it opens the console once")

    def _takes(self, secret: str) -> bool:
        """Whether it is the secret, which then opens nothing any more."""
        if not self.secret or not hmac.compare_digest(secret.encode(), self.secret.encode()):
            return False
        self.secret = ""
        return True

    @property
    def _cookie(self) -> str:
        """The cookie's name. Browsers keep cookies by host without the port, and several consoles may run."""
        return f"millrace-{self.origin.rpartition(':')[2]}"


def _refusal(status: int, expected: str) -> Response:
    return PlainTextResponse(f"Refused: {expected}.\n", status_code=status)


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
        said(guard.url)
        try:
            uvicorn.Server(configured(guard)).run(sockets=[listener])
        finally:
            close()


def configured(app: ASGIApp) -> uvicorn.Config:
    """How uvicorn serves the console."""
    # No log of requests: the first one has the secret in its address.
    return uvicorn.Config(app, http="h11", log_config=None, access_log=False, server_header=False, lifespan="off",
                          timeout_graceful_shutdown=GRACE_S)  # fmt: skip
