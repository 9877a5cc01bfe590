"""A console served at a real socket of this machine, and a browser as far as it keeps a cookie."""

import http.client
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import unescape
from threading import Thread
from urllib.parse import urlencode

import uvicorn
from starlette.types import ASGIApp

from millrace.console.environment import Environment
from millrace.console.web.app import console_app
from millrace.console.web.server import Guard, configured


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    text: str


@dataclass
class Browser:
    """Sends requests as they are: what a browser adds by itself, a test can leave out or forge."""

    port: int
    cookie: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    def ask(self, path: str, method: str = "GET", body: str | None = None, **headers: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        cookie = {"cookie": self.cookie} if self.cookie else {}
        connection.request(method, path, body=body, headers={**cookie, **self.headers, **headers})
        came = connection.getresponse()
        answer = Answer(came.status, {name.lower(): value for name, value in came.getheaders()}, came.read().decode())
        connection.close()
        return answer

    def open(self, url: str) -> Answer:
        """Open the address that the console has printed, and keep its cookie."""
        answer = self.ask(url.partition(str(self.port))[2])
        self.cookie = answer.headers.get("set-cookie", "").partition(";")[0]
        return answer


def hidden(html: str, name: str) -> str:
    found = re.search(rf'<input type="hidden" name="{name}" value="([^"]*)"', html)
    return unescape(found[1]) if found else ""


def send(browser: Browser, shown: Answer, path: str = "/income/review", **fields: str) -> Answer:
    """Send a form of the page with these fields, and follow to the page after it."""
    form = {name: hidden(shown.text, name) for name in ("token", "decision")} | fields
    own = {"origin": f"http://127.0.0.1:{browser.port}", "content-type": "application/x-www-form-urlencoded"}
    answer = browser.ask(path, "POST", urlencode(form), **own)
    return browser.ask(answer.headers["location"]) if answer.status == 303 else answer


@contextmanager
def half(browser: Browser, sent: str) -> Iterator[socket.socket]:
    """A connection on which a part of a request was sent."""
    with socket.create_connection(("127.0.0.1", browser.port), timeout=60) as connection:
        connection.sendall(sent.encode())
        yield connection


@contextmanager
def serving(app: ASGIApp) -> Iterator[tuple[Browser, str]]:
    """A browser that has opened nothing yet, and the address that opens the console."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        guard = Guard(app=app, origin=f"http://127.0.0.1:{port}")
        server = uvicorn.Server(configured(guard))
        thread = Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield Browser(port), guard.url
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def opened(environment: Environment) -> Iterator[Browser]:
    """A browser that has opened the console of an environment."""
    app, close = console_app(environment)
    with serving(app) as (browser, url):
        browser.open(url)
        yield browser
        close()
