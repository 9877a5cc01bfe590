"""The pages of the console: all workloads on one, and each workload's report, made anew for each request."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Lock
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from console.environment import Environment
from console.pages.overview import UnreadWorkload, failure_page, overview_page
from console.pages.page import PageLink, page
from console.queries.overview import WorkloadState, read_state
from console.queries.report import question_of, read_report
from console.queries.unread import Unread, unread
from millrace.errors import EnvironmentNotFoundError, MillraceError
from millrace.names import WorkloadNames
from millrace.workload.load import workloads_folder

READERS = 8
"""How many workloads are read at the same time."""
FAILURES = (MillraceError, ClientError, BotoCoreError, OSError, ValueError)
"""What can be wrong with one workload: its files, what it has stored, or a service."""


def console_app(environment: Environment) -> Starlette:
    """The console of an environment, without its guard."""
    console = _Console(_shared(environment))
    return Starlette(
        routes=[Route("/", console.overview), Route("/{workload}", console.report)],
        exception_handlers=dict.fromkeys(FAILURES, console.failure),
    )


def _shared(environment: Environment) -> Environment:
    """The same environment for several threads: boto3's session makes clients in one thread at a time.

    https://docs.aws.amazon.com/boto3/latest/guide/clients.html#multithreading-or-multiprocessing-with-clients"""
    lock = Lock()

    def client(service: str) -> Any:
        with lock:
            return environment.client(service)

    return replace(environment, client=client)


class _Console:
    """The pages of one environment. Starlette calls each in a thread of its own."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment

    def overview(self, _: Request) -> Response:
        shown, denied = self._workloads()
        with ThreadPoolExecutor(READERS) as readers:
            states = list(readers.map(self._state, shown))
        environment = self._environment
        return HTMLResponse(overview_page(environment.platform, states, now=environment.now(), denied=denied))

    def _workloads(self) -> tuple[list[WorkloadNames], Unread | None]:
        """The deployed workloads; those with a folder, and why, for a person who may not list machines."""
        try:
            return self._environment.deployed(), None
        except ClientError as error:
            return self._environment.declared(), unread(error)

    def _state(self, names: WorkloadNames) -> WorkloadState | UnreadWorkload:
        try:
            return read_state(self._environment, names)
        except FAILURES as error:
            return UnreadWorkload(workload=names.workload, why=unread(error))

    def report(self, request: Request) -> Response:
        names = self._environment.names(request.path_params["workload"])
        others = [PageLink(workload=each.workload, file=f"/{each.workload}") for each in self._workloads()[0]]
        question = question_of(workloads_folder() / names.workload / "workload.yaml")
        report = read_report(self._environment, names, question=question)
        return HTMLResponse(page(report, links=[PageLink(workload="All workloads", file="/"), *others]))

    def failure(self, request: Request, error: Exception) -> Response:
        """The page that says why another page cannot be shown."""
        why = unread(error)
        status = 404 if isinstance(error, EnvironmentNotFoundError) else 403 if why.is_denied else 502
        platform, path = self._environment.platform, request.url.path
        return HTMLResponse(failure_page(platform, path.lstrip("/"), why), status_code=status)
