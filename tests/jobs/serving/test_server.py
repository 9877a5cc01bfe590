"""The server process as the platform meets it: real sockets, real signals."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from millrace.artefact.artefact import read_folder
from millrace.errors import SettingsError
from millrace.serving.http import BadRequest, Heads
from millrace.serving.settings import Settings

HEADS = Heads(max_body_bytes=1000)


def head(start: str = "POST /invocations HTTP/1.1", **headers: str) -> bytes:
    lines = [start, *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    return "\r\n".join(lines).encode()


def test_a_head_is_read_whatever_the_case_of_its_words() -> None:
    found = HEADS.read(head(CONTENT_Length="12", Content_Type="Application/JSON; charset=utf-8", X_Amzn_Trace="a:b"))
    assert (found.method, found.path, found.body_bytes) == ("POST", "/invocations", 12)
    assert found.content_type == "application/json"
    assert found.keep_alive
    assert not found.expects_continue


@pytest.mark.parametrize(
    ("start", "connection", "keep_alive"),
    [
        ("GET /ping HTTP/1.1", "keep-alive", True),
        ("GET /ping HTTP/1.1", "Close", False),
        ("GET /ping HTTP/1.0", "", False),
        ("GET /ping HTTP/1.0", "Keep-Alive", True),
    ],
)
def test_the_client_says_whether_the_connection_stays(start: str, connection: str, keep_alive: bool) -> None:
    assert HEADS.read(head(start, connection=connection)).keep_alive is keep_alive


def test_a_client_may_wait_before_it_sends() -> None:
    assert HEADS.read(head(Expect="100-Continue", Content_Length="5")).expects_continue
    assert not HEADS.read(head("POST / HTTP/1.0", Expect="100-Continue", Content_Length="5")).expects_continue


@pytest.mark.parametrize(
    ("block", "status"),
    [
        (b"", 400),
        (b"GET /ping", 400),
        (b"GET ping HTTP/1.1", 400),
        (b"GET /ping HTTP/2", 400),
        (b"GET /a b HTTP/1.1", 400),
        (b"GET /a\nb HTTP/1.1", 400),
        (b"GET /ping HTTP/1.1\n", 400),
        (b"GET /ping HTTP/1.1\r\nno colon", 400),
        (b"GET /ping HTTP/1.1\r\n folded: line", 400),
        (b"GET /ping HTTP/1.1\r\ncontent-length : 1", 400),
        (b"GET /ping HTTP/1.1\r\na b: c", 400),
        (b"POST / HTTP/1.1\r\na: b\ncontent-length: 5", 400),
        (b"POST / HTTP/1.1\r\na: b\rcontent-length: 5", 400),
        (b"GET /ping HTTP/1.1\r\na: b\0c", 400),
        (b"GET /ping HTTP/1.1\r\na: b\n", 400),
        (b"POST / HTTP/1.1\r\ncontent-length:\xa05\xa0", 400),
        (b"POST / HTTP/1.1\r\ncontent-length: -1", 400),
        ("POST / HTTP/1.1\r\ncontent-length: \u00b2".encode("latin-1"), 400),
        (b"POST / HTTP/1.1\r\ncontent-length: 1\r\nContent-Length: 2", 400),
        (b"POST / HTTP/1.1\r\ncontent-length: 1001", 413),
        (b"POST / HTTP/1.1\r\ncontent-length: " + b"9" * 5000, 413),
        (b"POST / HTTP/1.1\r\ntransfer-encoding: chunked", 411),
        (b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\ncontent-length: 3", 411),
    ],
)
def test_what_is_no_request_is_refused(block: bytes, status: int) -> None:
    with pytest.raises(BadRequest) as refused:
        HEADS.read(block)
    assert refused.value.status == status
    assert len(refused.value.came) < 100


def test_the_memory_of_heads_is_bounded() -> None:
    heads = Heads(max_body_bytes=1000)
    for number in range(1000):
        assert heads.read(head(x=str(number))).path == "/invocations"
    assert len(heads._known) <= 256


def test_a_registered_version_is_not_served_without_its_digest() -> None:
    with pytest.raises(SettingsError, match="MILLRACE_MODEL_DIGEST: expected the digest of version 17, as approved"):
        Settings.read({"MILLRACE_MODEL_VERSION": "17"})


@pytest.mark.parametrize("text", ["", "x", "-1", "0", "70000", "8080.0"])
def test_a_wrong_port_is_named(text: str) -> None:
    with pytest.raises(SettingsError, match="SAGEMAKER_BIND_TO_PORT: expected a whole number from 1 to 65535"):
        Settings.read({"SAGEMAKER_BIND_TO_PORT": text})


REPOSITORY = Path(__file__).resolve().parents[3]
FEATURES = ("day_of_week", "period", "nswprice", "nswdemand", "vicprice", "vicdemand", "transfer")
ROW = dict.fromkeys(FEATURES, 0.25)


@dataclass(frozen=True, kw_only=True)
class Running:
    process: subprocess.Popen[bytes]
    port: int
    first_ping_s: float

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def ask(self, *rows: dict[str, Any]) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("POST", "/invocations", json.dumps({"rows": rows}), {"content-type": "application/json"})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()


@contextmanager
def running(root: Path, workers: int = 1) -> Iterator[Running]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    variables = {
        "PATH": os.environ["PATH"],
        "MILLRACE_ML_ROOT": str(root),
        "MILLRACE_BIND": "127.0.0.1",
        "MILLRACE_WORKERS": str(workers),
        "MILLRACE_MODEL_VERSION": "3",
        "MILLRACE_MODEL_DIGEST": read_folder(root / "model").digest,
        "SAGEMAKER_BIND_TO_PORT": str(port),
    }
    began = time.monotonic()
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "millrace.jobs.serving", "serve"], cwd=REPOSITORY, env=variables
    ) as process:
        try:
            while not _ping(port):
                assert process.poll() is None, "the server has ended"
                assert time.monotonic() - began < 30
                time.sleep(0.01)
            yield Running(process=process, port=port, first_ping_s=time.monotonic() - began)
        finally:
            process.kill()


def _ping(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/ping")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


@pytest.fixture(scope="module")
def root(model_1996: Path) -> Path:
    return model_1996.parent


@pytest.fixture(scope="module")
def server(root: Path) -> Iterator[Running]:
    with running(root) as one:
        yield one


def post(body: bytes, *headers: str, length: int | None = None) -> bytes:
    lines = ["POST /invocations HTTP/1.1", "content-type: application/json", *headers]
    lines.append(f"content-length: {len(body) if length is None else length}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def receive(client: socket.socket, answers: int) -> list[tuple[int, bytes]]:
    """So many answers: status and body."""
    found: list[tuple[int, bytes]] = []
    with client.makefile("rb") as file:
        while len(found) < answers and (start := file.readline()):
            length = 0
            while (line := file.readline()) not in (b"\r\n", b""):
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            found.append((int(start.split()[1]), file.read(length)))
    return found


def test_a_request_may_come_byte_by_byte_and_several_at_once(server: Running) -> None:
    request = post(json.dumps({"rows": [ROW]}).encode())
    with server.connect() as client:
        for cut in range(0, len(request), 40):
            client.sendall(request[cut : cut + 40])
            time.sleep(0.001)
        client.sendall(b"GET /ping HTTP/1.1\r\n\r\n" + post(b"{") + request)
        answers = receive(client, 4)
    assert [status for status, _ in answers] == [200, 200, 400, 200]
    assert answers[0] == answers[3]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_stop_finishes_what_was_begun_and_ends_cleanly(root: Path, workers: int) -> None:
    request = post(json.dumps({"rows": [ROW]}).encode())
    with running(root, workers) as server, server.connect() as begun, server.connect() as idle:
        begun.sendall(request[:-1])
        time.sleep(0.2)
        server.process.send_signal(signal.SIGTERM)
        assert idle.recv(10) == b""  # closed
        begun.sendall(request[-1:])
        assert receive(begun, 1)[0][0] == 200
        assert server.process.wait(10) == 0


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_a_stop_before_the_model_is_open_is_clean_too(root: Path, workers: int) -> None:
    with running(root, workers) as server:
        server.process.send_signal(signal.SIGTERM)  # the first worker has just answered
        assert server.process.wait(10) == 0


def test_when_one_worker_dies_the_container_ends(root: Path) -> None:
    with running(root, workers=2) as server:
        children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
        assert len(children) == 2
        os.kill(int(children[0]), signal.SIGKILL)
        assert server.process.wait(10) == 1


def test_no_heavy_package_is_imported() -> None:
    code = (
        "import sys, millrace.artefact.inference\nfrom millrace.jobs.serving import __main__, open_inference\n"
        "sys.exit(bool({'torch', 'pydantic', 'pyarrow', 'pandas', 'boto3'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY).returncode == 0
