"""What one request costs the serving container, in CPU µs, beside a bare C echo: `python -m benchmarks.serving`.

One row as JSON, 32 connections that each ask again as soon as they are answered; one worker. Both servers are asked
in turns in one run, so that other work on the machine falls on both. Only the servers' CPU counts, not the client's.
Needs `cc`. The model is a feedforward of the electricity workload's size with random weights: its cost is the same.
"""

from __future__ import annotations

import json
import os
import resource
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import conclude
from localcloud.sagemaker.endpoints.serving import free_port
from millrace.artefact.artefact import Artefact, Digests, digest, write_folder
from millrace.features.catalogue import signature
from millrace.features.number import Number
from millrace.models.feedforward.declaration import Feedforward
from millrace.tasks.binary import Binary
from tests.builders import description

REPOSITORY = Path(__file__).resolve().parents[1]
BAR_RATIO = 4.0
"""CPU per request, the container's over the echo's."""
CONNECTIONS, SECONDS, ROUNDS = 32, 1.0, 5
FEATURES = ("day_of_week", "period", "nswprice", "nswdemand", "vicprice", "vicdemand", "transfer")
BODY = json.dumps({"rows": [dict.fromkeys(FEATURES, 0.25)]}).encode()
HEAD = f"POST /invocations HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(BODY)}\r\n\r\n"
REQUEST = HEAD.encode() + BODY


def write_model(folder: Path) -> None:
    """An untrained model of the electricity workload's size."""
    from safetensors.torch import save

    from millrace.models.export import export
    from millrace.models.predictor import build

    features, task = tuple(Number(name=name) for name in FEATURES), Binary()
    predictor = build(Feedforward(), signature(features), task.objective).eval()
    weights, onnx = save(predictor.state_dict()), export(predictor, signature(features))
    digests = Digests(data="", contract="", config="", code="", weights=digest(weights), onnx=digest(onnx))
    own = description(features=features, task=task, label="class", digests=digests)
    write_folder(folder, Artefact(description=own, weights=weights, onnx=onnx, history=b"[]"))


@contextmanager
def started(arguments: list[str], port: int, **variables: str) -> Iterator[int]:
    """The process id of a server that listens on `port`."""
    with subprocess.Popen(arguments, cwd=REPOSITORY, env={"PATH": os.environ["PATH"], **variables}) as process:
        try:
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                except ConnectionRefusedError:
                    assert process.poll() is None, arguments
                    time.sleep(0.01)
            yield process.pid
        finally:
            process.send_signal(signal.SIGKILL)


def container(root: Path, port: int, **variables: str) -> AbstractContextManager[int]:
    """The process id of the serving container, of one worker; `root` stands for /opt/ml."""
    command = [sys.executable, "-m", "millrace.jobs.serving", "serve"]
    own = {"MILLRACE_ML_ROOT": str(root), "MILLRACE_BIND": "127.0.0.1", "MILLRACE_WORKERS": "1"}
    return started(command, port, **own, SAGEMAKER_BIND_TO_PORT=str(port), **variables)


def post(port: int, body: bytes, content_type: str = "application/json") -> bytes:
    """The container's answer; raises HTTPError for another status than 200."""
    headers = {"content-type": content_type}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/invocations", data=body, headers=headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        found: bytes = answer.read()
    return found


def cpu_s(pid: int) -> float:
    """CPU time of a process so far, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def ask(port: int, seconds: float) -> int:
    """How many requests were answered."""
    answered = 0
    with selectors.DefaultSelector() as selector, ExitStack() as open_:
        for _ in range(CONNECTIONS):
            client = open_.enter_context(socket.create_connection(("127.0.0.1", port)))
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            selector.register(client, selectors.EVENT_READ)
            client.send(REQUEST)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for key, _ in selector.select(1):
                client = key.fileobj
                assert isinstance(client, socket.socket)
                assert client.recv(4096).startswith(b"HTTP/1.1 200")
                answered += 1
                client.send(REQUEST)
    return answered


def cost_us(pid: int, port: int) -> float:
    """CPU µs per request."""
    before = cpu_s(pid)
    answered = ask(port, SECONDS)
    return (cpu_s(pid) - before) / answered * 1e6


def verdict(*, ratio: float, ours_us: float, resident_mb: float) -> dict[str, Any]:
    """The result: CPU per request over that of the echo, against the bar."""
    return {
        "name": "serving",
        "figure": round(ratio, 2),
        "unit": "CPU per request over that of a C echo",
        "bar": BAR_RATIO,
        "holds": ratio <= BAR_RATIO,
        "cpu_us_per_request": round(ours_us, 1),
        "resident_mb": round(resident_mb, 1),
    }


def main() -> None:
    """Print the figures; exits with 1 where the bar is missed, and with the reason where nothing can be measured."""
    compiler = shutil.which("cc")
    if compiler is None:
        sys.exit("serving: not measured: expected a C compiler (cc) for the echo, there is none")
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as open_:
        folder = Path(scratch)
        write_model(folder / "model")
        subprocess.run([compiler, "-O2", "-o", folder / "echo", Path(__file__).with_name("echo.c")], check=True)
        ports = free_port(), free_port()
        ours = open_.enter_context(container(folder, ports[0]))
        echo = open_.enter_context(started([str(folder / "echo"), str(ports[1])], ports[1]))
        rounds = [(cost_us(ours, ports[0]), cost_us(echo, ports[1])) for _ in range(ROUNDS)]
        resident_mb = int(Path(f"/proc/{ours}/statm").read_text().split()[1]) * resource.getpagesize() / 2**20
    ours_us, echo_us = (median(each) for each in zip(*rounds, strict=True))
    ratio = median(mine / other for mine, other in rounds)
    print(f"serving {ours_us:.1f} µs, C echo {echo_us:.1f} µs per request; ratio {ratio:.2f}, bar {BAR_RATIO}")
    conclude(verdict(ratio=ratio, ours_us=ours_us, resident_mb=resident_mb))


if __name__ == "__main__":
    main()
