"""A server on loopback that answers each POST and GET as a test says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ssl import SSLContext
from threading import Thread

# Status, body and headers.
Answer = tuple[int, bytes, Mapping[str, str]]


@contextmanager
def answering_posts(answer: Callable[[str, Message, bytes], Answer], *, tls: SSLContext | None = None) -> Iterator[int]:
    """Within the block `answer` is asked with path, headers and body of each POST and GET. Yields the port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            sent = self.rfile.read(int(self.headers.get("content-length", 0)))
            status, body, headers = answer(self.path, self.headers, sent)
            self.send_response(status)
            for name, value in {**headers, "content-length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST

        def log_message(self, *_: object) -> None:
            """Nothing is written."""

    with ThreadingHTTPServer(("localhost", 0), Handler) as server:
        if tls:
            # The handshake is left to each connection's own thread: one that a client breaks off is no end of the
            # server.
            server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
