"""An endpoint of SageMaker's runtime that speaks HTTP, and answers as a test says."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


@contextmanager
def answering(patch: pytest.MonkeyPatch, answer: Callable[[str, bytes], tuple[int, bytes]]) -> Iterator[str]:
    """Within the block `answer` gives status and body to the path and body of each call of an endpoint, and behind them
    the code of an error. Yields its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            status, body, *code = answer(self.path, self.rfile.read(int(self.headers["content-length"])))
            self.send_response(status)
            for one in filter(None, code):
                self.send_header("x-amzn-errortype", one)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("localhost", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    url = f"http://localhost:{server.server_address[1]}"
    patch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", url)
    try:
        yield url
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
