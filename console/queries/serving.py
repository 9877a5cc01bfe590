"""Answer rows with a version that lies unpacked in a folder, by the serving container's own program in a process."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from millrace.console.local_cloud.processes import Process, Processes
from millrace.errors import AnswerError

Ask = Callable[[Sequence[Mapping[str, Any]]], list[Mapping[str, Any]]]
"""Takes rows as a request in JSON has them; gives the prediction on each, or why it is rejected."""
START_S = 60.0
"""How long the program may take until it answers, and for an answer."""


@contextmanager
def serving(folder: Path, *, version: str, model_digest: str) -> Iterator[Ask]:
    """What answers rows while the block runs. `folder` holds the members in `model/`, as `/opt/ml` does.

    The process has no variables of AWS. It refuses members of another digest: then AnswerError has its last words."""
    processes, port = Processes(folder=folder), _free_port()
    variables = {
        "MILLRACE_ML_ROOT": str(folder),
        "MILLRACE_MODEL_VERSION": version,
        "MILLRACE_MODEL_DIGEST": model_digest,
        "MILLRACE_BIND": "127.0.0.1",
        "MILLRACE_WORKERS": "1",
        "SAGEMAKER_BIND_TO_PORT": str(port),
    }
    try:
        program = processes.start(
            "serving", ["millrace.jobs.serving", "serve"], log="serving.log", environment=variables
        )
        _await(program, port)
        yield lambda rows: _ask(port, rows)
    finally:
        processes.stop()


def _ask(port: int, rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    status, content = _exchange(port, "POST", "/invocations", json.dumps({"rows": rows}, allow_nan=False).encode())
    if status != http.HTTPStatus.OK:
        raise AnswerError(
            f"rows: expected a prediction on each, got {status}: {content[:300].decode(errors='replace')}"
        )
    found: list[Mapping[str, Any]] = json.loads(content)["predictions"]
    return found


def _await(program: Process, port: int) -> None:
    """Wait until the program answers. Raises AnswerError with the end of its log if it does not."""
    end = time.monotonic() + START_S
    while time.monotonic() < end and not program.has_ended():
        try:
            if _exchange(port, "GET", "/ping")[0] == http.HTTPStatus.OK:
                return
        except OSError:
            time.sleep(0.02)
    said = program.log.read_text(errors="replace").splitlines()[-1:]
    raise AnswerError(f"millrace.jobs.serving: expected an answer within {START_S:g} s, got {' '.join(said) or 'none'}")


def _exchange(port: int, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=START_S)
    try:
        connection.request(method, path, body, {"content-type": "application/json"})
        reply = connection.getresponse()
        return reply.status, reply.read()
    finally:
        connection.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
