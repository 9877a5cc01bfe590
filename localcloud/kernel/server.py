"""Starts the local cloud: fills moto's gaps and serves it on http://localhost, beside its control routes."""

from __future__ import annotations

import importlib
import os
import socket
import sys
import tempfile
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from socketserver import BaseServer
from typing import Any

from localcloud.kernel.clock import Clock
from localcloud.kernel.cloud import Cloud
from localcloud.kernel.cloud_time import living_by
from localcloud.kernel.control import (
    PREFIX,
    SECRET_VARIABLE,
    Answer,
    Application,
    Control,
    Start,
    json_answer,
    write_secret,
)
from localcloud.kernel.patching import replace, undone
from localcloud.kernel.web_pages import why_refused

IN_ORDER = (
    "kernel",
    "cloudformation",
    "iam",
    "sts",
    "awslambda",
    "events",
    "s3",
    "sns",
    "sqs",
    "cloudwatch",
    "logs",
    "scheduler",
    "glue",
    "stepfunctions",
    "sagemaker",
    "sagemaker_runtime",
    "application_autoscaling",
)
"""Fillers that are installed first, in this order: metrics and logs watch functions, alarms read metrics."""


_FOUND = {path.parent.name for path in Path(__file__).resolve().parents[1].glob("*/install.py")}
FILLERS = (*IN_ORDER, *sorted(_FOUND - {*IN_ORDER}))
"""The names of the folders with an `install.py`."""

WARMED = (
    "cloudformation",
    "s3",
    "ssm",
    "iam",
    "ec2",
    "kms",
    "lambda",
    "sqs",
    "events",
    "logs",
    "dynamodb",
    "sagemaker",
)
"""Services whose API models are read right after the start (see `warm`)."""

SWITCH_S = 0.001
"""Seconds that a thread may compute while others wait for the interpreter.

A request waits for its turn some fifty times. With Python's own five milliseconds, four computing threads make a
request last for seconds. Clients that wait for three seconds, such as Arrow's, then give up one after the other."""
CALL = "millrace.call"
"""The key of a WSGI environment that holds the parsed call (`localcloud.kernel.calls.Call`), or None if unsigned."""

_ONE_CLOUD = threading.Lock()


@contextmanager
def running(
    workspace: Path, *, port: int = 0, clock: datetime | None = None, fillers: Sequence[str] = FILLERS
) -> Iterator[Cloud]:
    """A cloud that answers on `cloud.endpoint_url` until the block ends. Then no process and no port of it is left.

    `clock` sets the cloud's time before anything runs. Tests pass fewer `fillers` to show what moto lacks.

    Raises RuntimeError if a cloud runs in this process already, since moto's state is global. One cloud may follow
    another: each starts empty, and at its end moto is as it was before."""
    workspace.mkdir(parents=True, exist_ok=True)
    listener = _listen(port)
    workspace = workspace.resolve()
    cloud = Cloud(workspace=workspace, port=listener.getsockname()[1], clock=Clock(workspace / "clock"))
    write_secret(cloud)
    if clock is not None:
        cloud.clock.set(clock)
    # Entered in this order and left in the reverse one: moto is emptied while it is still patched, then restored, then
    # the process gets its own environment back, and only then may another cloud begin.
    with (
        listener,
        _alone(),
        living_by(cloud.clock.offset_ns),
        _own_environment(cloud),
        _short_thread_switches(),
        undone(),
        _empty(),
    ):
        installed = [importlib.import_module(f"localcloud.{name}.install") for name in fillers]
        cloud.application = _guarded(cloud)
        server = _make_server(cloud, listener, _served(cloud))
        # werkzeug's own method closes the listener at its end: a cloud that goes on after a checkpoint needs it.
        thread = cloud.loop("server", lambda: BaseServer.serve_forever(server, poll_interval=0.1))
        cloud.end_server = lambda: _end_server(server)
        try:
            for filler in installed:
                filler.install(cloud)
            yield cloud
        finally:
            # Processes end while the server still answers: what they do upon TERM may need it.
            cloud.stop()
            cloud.end_server()
            thread.join()
            server.server_close()
            cloud.settle()


@contextmanager
def _alone() -> Iterator[None]:
    if not _ONE_CLOUD.acquire(blocking=False):
        raise RuntimeError("a cloud runs in this process already: moto's state is global")
    try:
        yield
    finally:
        _ONE_CLOUD.release()


@contextmanager
def _short_thread_switches() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_S)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


@contextmanager
def _empty() -> Iterator[None]:
    """Empty moto of all resources, before the block and after it."""
    everything: Any = importlib.import_module("moto.moto_api._internal").moto_api_backend
    everything.reset()
    try:
        yield
    finally:
        everything.reset()


def _listen(port: int) -> socket.socket:
    """A socket that listens on the port of loopback; 0 takes a free port.

    It is made before moto is imported, so that a port in use fails at once."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(128)
    return listener


@contextmanager
def _own_environment(cloud: Cloud) -> Iterator[None]:
    """Let this process, and moto's own clients in it, see the cloud and no profile or proxy of the host."""
    temporary = cloud.workspace / "tmp"
    temporary.mkdir(exist_ok=True)
    before, before_temporary = dict(os.environ), tempfile.tempdir
    tempfile.tempdir = str(temporary)
    for name in before:
        if name.startswith("AWS_") or name.lower().endswith("_proxy"):
            del os.environ[name]
    os.environ |= {
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_DEFAULT_REGION": cloud.region,
        "AWS_ENDPOINT_URL": cloud.endpoint_url,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
        "MOTO_PORT": str(cloud.port),
        SECRET_VARIABLE: cloud.secret,
        "MOTO_EC2_LOAD_DEFAULT_AMIS": "false",
    }
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        tempfile.tempdir = before_temporary


def _make_server(cloud: Cloud, listener: socket.socket, application: Application) -> Any:
    from moto.moto_server.werkzeug_app import MotoRequestHandler
    from werkzeug.serving import make_server

    log = cloud.workspace / "logs" / "server.log"
    log.parent.mkdir(exist_ok=True)

    class LoggingHandler(MotoRequestHandler):
        # Nagle's algorithm would hold small answers back for 40 ms.
        disable_nagle_algorithm = True

        def log(self, kind: str, message: str, *values: Any) -> None:
            if kind == "error":
                with log.open("a") as lines:
                    lines.write(f"{message % values if values else message}\n")

    fd = listener.fileno()
    server: Any = make_server("localhost", 0, application, threaded=True, request_handler=LoggingHandler, fd=fd)

    # socketserver would start a thread for each request that nobody waits for. The end of the cloud waits for its own
    # threads, so the request gets one of these.
    def on_a_thread_of_the_cloud(request: Any, address: Any) -> None:
        server.connections.add(request)
        cloud.background("request", lambda: serve(request, address))

    def serve(request: Any, address: Any) -> None:
        try:
            server.process_request_thread(request, address)
        finally:
            server.connections.discard(request)

    server.connections = set()
    server.process_request = on_a_thread_of_the_cloud
    return server


def _end_server(server: Any) -> None:
    """Accept no more connections, and no more requests on those that clients keep open. Answers are still sent."""
    server.shutdown()
    for connection in list(server.connections):
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RD)


def _guarded(cloud: Cloud) -> Application:
    """moto behind the guards. The clients of this process call it directly, without the port."""
    from moto.moto_server import werkzeug_app

    from localcloud.kernel.calls import read_call

    # Switches off moto's CORS headers for web pages. moto reads its environment variable for this only when it is
    # imported, which in most processes is before any cloud. May go when moto reads it for each application.
    replace(werkzeug_app, DISABLE_GLOBAL_CORS=True)
    moto = werkzeug_app.DomainDispatcherApplication(werkzeug_app.create_backend_app)

    def application(environ: dict[str, Any], start: Start) -> Answer:
        # A request that came by the port has its call already. One of a client of this process is parsed here.
        call = environ.get(CALL) or read_call(environ)
        for guard in cloud.guards if call else ():
            refusal = guard(call)
            if refusal is not None:
                status, headers, body = refusal
                start(status, headers)
                return [body]
        answer: Answer = moto(environ, start)
        return answer

    return application


def _served(cloud: Cloud) -> Application:
    """The application behind the port: the control routes, the routes of fillers, and the guarded moto.

    Each call is counted."""
    from localcloud.kernel.calls import read_call

    control = Control(cloud)
    cloud.routes[PREFIX] = control

    def application(environ: dict[str, Any], start: Start) -> Answer:
        # First of all, before the path is looked at: moto would answer a preflight (OPTIONS) of any web page.
        refusal = why_refused(environ)
        if refusal is not None:
            return json_answer(start, "403 Forbidden", {"message": refusal})
        if environ.get("PATH_INFO", "").startswith(PREFIX):
            return control.serve(environ, start)
        environ[CALL] = call = read_call(environ)
        control.count(call)
        return _or_error(cloud, environ, start)

    return application


def _or_error(cloud: Cloud, environ: dict[str, Any], start: Start) -> Answer:
    """The answer. An exception of the cloud itself becomes a 501 that names it: clients do not retry that status."""
    from localcloud.kernel.calls import error_answer

    try:
        answer: Answer = cloud.application(environ, start)
        return answer
    except Exception as error:
        with (cloud.workspace / "logs" / "server.log").open("a") as lines:
            traceback.print_exc(file=lines)
        message = f"the local cloud cannot do this: {type(error).__name__}: {error}"
        if environ[CALL] is None:
            return json_answer(start, "501 Not Implemented", {"message": message})
        status, headers, body = error_answer(environ[CALL], "NotImplemented", message)
        start(status, headers)
        return [body]


def warm(cloud: Cloud) -> None:
    """Read the API models that a deployment needs, ahead of it. They take a second and a half of the first one."""
    from moto.core.routing import get_service_router

    for service in WARMED:
        if cloud.stopping.is_set():
            return
        cloud.client(service)
        get_service_router(service)
