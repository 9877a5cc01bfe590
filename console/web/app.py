"""The pages of the console: all workloads on one, and each workload's report, made anew for each request."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from io import BytesIO
from itertools import chain, islice
from pathlib import Path
from secrets import token_urlsafe
from tempfile import TemporaryDirectory
from threading import Lock
from typing import IO, Any
from urllib.parse import parse_qs

from botocore.exceptions import ClientError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from millrace.console.actions.approve import approve, refuse
from millrace.console.actions.reviews import Reviewer
from millrace.console.environment import Environment
from millrace.console.pages.overview import act_path, overview_page, review_page
from millrace.console.pages.page import PageLink, page
from millrace.console.pages.template import MOST, decisions_page, template
from millrace.console.pages.version import Decided, comparison_page, version_page, versions_path
from millrace.console.queries.agreement import agreement_in_words
from millrace.console.queries.alarms import find_raised, states_of
from millrace.console.queries.decisions import day_named, find_days, words_of
from millrace.console.queries.documents import signing_key
from millrace.console.queries.live import FAILURES, Raised, try_state
from millrace.console.queries.own_answers import find_own_answers
from millrace.console.queries.report import question_of, read_judged, read_report, read_versions
from millrace.console.queries.reviews import count_waiting, explain_item
from millrace.console.queries.reviews import question_of as review_question_of
from millrace.console.queries.stored import Unread, part, part_in_words, unread
from millrace.console.queries.versions import find_package, find_versions, registry_of, state_of, waiting
from millrace.console.web.acts import ACTS
from millrace.console.web.drops import MOST_BYTES as MOST_FILE_BYTES
from millrace.console.web.drops import take
from millrace.console.web.session import ReviewSession
from millrace.console.words import count, spelled
from millrace.contract.load import load_contract
from millrace.contract.schema import FEEDS
from millrace.errors import EnvironmentNotFoundError
from millrace.names import WorkloadNames
from millrace.release.signatures import check_signature
from millrace.state.holdings import Leases
from millrace.state.pointers import ReleasePointers
from millrace.workload.load import load_workload, workloads_folder

OWN = 50
"""How many of a person's own answers are shown."""
READERS = 8
"""How many workloads are read at the same time."""
PER_PAGE = 10
"""So many workloads are read for one page. Each takes a ListExecutions of each of its machines, of which Step Functions
lets an account make 100 at once, and 2 in a second afterwards:
https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html"""
MOST_BYTES = 2**20
"""The longest form: a label or a note of a person."""
JUDGEMENTS = {"approve": approve, "refuse": refuse}
SCRIPTS = ("refresh.js", "review.js", "drop.js")
Form = Mapping[str, Sequence[str]]
"""The fields of a form that was sent."""


def console_app(environment: Environment) -> tuple[Starlette, Callable[[], None]]:
    """The console of an environment, without its guard; and what ends it: what the person has is given back."""
    console = _Console(_shared(environment))
    app = Starlette(
        routes=[
            Route("/", console.overview),
            Route("/static/{script}", console.script),
            Route("/{workload}", console.report),
            Route("/{workload}/decisions", console.decisions),
            Route("/{workload}/review", console.review),
            Route("/{workload}/review", partial(console.posted, act=console.decide), methods=["POST"]),
            Route("/{workload}/review/answers", console.answers),
            Route("/{workload}/drop", console.drop),
            Route("/{workload}/drop", console.take, methods=["POST"]),
            Route("/{workload}/acts/{act}", console.act),
            Route("/{workload}/acts/{act}", partial(console.posted, act=console.confirm), methods=["POST"]),
            Route("/{workload}/versions", console.versions),
            Route("/{workload}/versions/{version}", console.version),
            Route("/{workload}/versions/{version}", partial(console.posted, act=console.judge), methods=["POST"]),
        ],
        exception_handlers=dict.fromkeys(FAILURES, console.failure),
    )
    return app, console.close


async def _received(request: Request, body: IO[bytes], *, most: int) -> Response | None:
    """Write what was sent to `body`; the refusal of more than `most` bytes, or of what ended early."""
    try:
        async for part in request.stream():
            if body.tell() + len(part) > most:
                expected = f"Refused: expected {most:,} bytes at most.\n"
                return PlainTextResponse(expected, status_code=413, headers={"connection": "close"})
            body.write(part)
    except ClientDisconnect:  # nobody is there to be told
        return Response(status_code=400)
    return None


def pages_of(shown: Sequence[WorkloadNames], raised: Raised) -> list[list[WorkloadNames]]:
    """The workloads on pages of PER_PAGE, first those with an alarm that is on."""
    alarms = () if isinstance(raised, Unread) else raised
    ordered = sorted(shown, key=lambda names: all(one.is_of_stage for one in states_of(alarms, names)))
    return [ordered[at : at + PER_PAGE] for at in range(0, len(ordered), PER_PAGE)] or [[]]


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
        self._token = token_urlsafe()
        self._sessions: dict[str, ReviewSession] = {}
        self._lock = Lock()

    def overview(self, request: Request) -> Response:
        (shown, denied), environment = self._workloads(), self._environment
        raised = part(lambda: find_raised(environment))
        pages, asked = pages_of(shown, raised), request.query_params.get("page", "")[:9]
        at = min(int(asked), len(pages)) if asked.isdecimal() and int(asked) else 1
        with ThreadPoolExecutor(READERS) as readers:
            states = list(readers.map(lambda names: try_state(environment, names, raised), pages[at - 1]))
        place = {"page": at, "pages": len(pages), "workloads": len(shown)}
        return HTMLResponse(overview_page(environment.platform, states, place, now=environment.now(), denied=denied))

    def _workloads(self) -> tuple[list[WorkloadNames], Unread | None]:
        """The deployed workloads; those with a folder, and why, for a person who may not list machines."""
        try:
            return self._environment.deployed(), None
        except ClientError as error:
            return self._environment.declared(), unread(error)

    def report(self, request: Request) -> Response:
        names = self._environment.names(request.path_params["workload"])
        others = [PageLink(workload=each.workload, file=f"/{each.workload}") for each in self._workloads()[0]]
        report = read_report(self._environment, names, question=question_of(workloads_folder() / names.workload))
        links = [PageLink(workload="All workloads", file="/"), *others]
        if load_workload(workloads_folder() / names.workload).policy:
            links.append(PageLink(workload="What a person decides", file=f"/{names.workload}/review"))
            links.append(PageLink(workload="Pause automation", file=act_path(names.workload, "pause")))
        links.append(PageLink(workload="Drop a file", file=f"/{names.workload}/drop"))
        if len(report.models) > 1:
            links.append(PageLink(workload="Compare versions", file=versions_path(names.workload)))
        if report.live:
            links.append(PageLink(workload="Roll back", file=act_path(names.workload, "rollback")))
        return HTMLResponse(page(report, links=links, is_live=True))

    def decisions(self, request: Request) -> Response:
        names = self._environment.names(request.path_params["workload"])
        first, last = (day_named(name, request.query_params.get(name, "")) for name in ("first", "last"))
        found = find_days(self._environment, names, first=first, last=last, most_scored=MOST)
        newest = list(islice(chain.from_iterable(reversed(day.decisions) for day in found), MOST + 1))
        return HTMLResponse(decisions_page(names, newest, words_of(names)[0], first=first, last=last))

    def script(self, request: Request) -> Response:
        if (name := request.path_params["script"]) not in SCRIPTS:
            return PlainTextResponse(f"Expected one of {', '.join(SCRIPTS)}.\n", status_code=404)
        return FileResponse(Path(__file__).with_name(name), media_type="text/javascript")

    def review(self, request: Request) -> Response:
        session = self._session(request)
        # An answer keeps the version of the guideline that was shown.
        session.reviewer = replace(session.reviewer, question=review_question_of(session.reviewer.names))
        names, item, message = session.reviewer.names, session.current(), session.message
        session.message, explanation = "", None
        if item and "explain" in request.query_params:
            explained = part(lambda: explain_item(self._environment, names, item.held.item))
            explanation = None if isinstance(explained, Unread) else explained
            message = message or part_in_words(explained, lambda _: "", "there is no explanation of this answer")
        html = review_page(
            names,
            session.reviewer.question,
            asked=question_of(workloads_folder() / names.workload),
            item=item.held.item if item else None,
            shown=item.shown if item else None,
            table=load_contract(workloads_folder() / names.workload).table("scoring"),
            token=self._token,
            waiting=count_waiting(self._environment, names, most=1000),
            message=message,
            can_undo=bool(session.answered),
            explanation=explanation,
        )
        return HTMLResponse(html)

    def answers(self, request: Request) -> Response:
        environment, names = self._environment, self._environment.names(request.path_params["workload"])
        html = template("answers.html.jinja", spelled=spelled).render(
            title=f"{names.workload}, your answers",
            names=names,
            answers=[one.cells for one in find_own_answers(environment, names, environment.identity(), limit=OWN)],
            agreement=agreement_in_words(environment, names),
            most=OWN,
        )
        return HTMLResponse(html)

    async def posted(self, request: Request, *, act: Callable[[Request, Form], Response]) -> Response:
        """What the act answers to the form that was sent; the refusal of one of another site."""
        with BytesIO() as body:
            if refused := await _received(request, body, most=MOST_BYTES):
                return refused
            form = parse_qs(body.getvalue().decode(errors="replace"))
        if refused := self._foreign(form.get("token", [""])[0]):
            return refused
        return await run_in_threadpool(act, request, form)

    def _foreign(self, token: str) -> Response | None:
        if hmac.compare_digest(token.encode(), self._token.encode()):
            return None
        return PlainTextResponse("Refused: expected a form of this console.\n", status_code=403)

    def drop(self, request: Request, *, status: int = 200, **said: Any) -> Response:
        names, who = self._environment.names(request.path_params["workload"]), self._environment.identity()
        html = template("drop.html.jinja", spelled=spelled, count=count).render(
            title=f"{names.workload}, drop a file",
            names=names,
            feeds=FEEDS,
            most=MOST_FILE_BYTES // 2**20,
            who=who,
            token=self._token,
            **{"warnings": (), "looked": None, "dropped": None, "message": ""} | said,
        )
        return HTMLResponse(html, status_code=status)

    async def take(self, request: Request) -> Response:
        """A file as it is: the feed, its name and the reason are in the query."""
        if refused := self._foreign(request.headers.get("x-token", "")):
            return refused
        with TemporaryDirectory() as folder:
            # The name of a path would be a place on this machine.
            file = Path(folder) / (Path(request.query_params.get("name", "")).name.replace("\0", "") or "file")
            with file.open("wb") as body:
                if refused := await _received(request, body, most=MOST_FILE_BYTES):
                    return refused
            return await run_in_threadpool(self._take, request, file)

    def _take(self, request: Request, file: Path) -> Response:
        names = self._environment.names(request.path_params["workload"])
        asked = {name: request.query_params.get(name, "") for name in ("feed", "reason")}
        try:
            taken = take(self._environment, names, file, asked["feed"], reason=asked["reason"].strip())
        except FAILURES as error:
            return self.drop(request, status=422, message=unread(error).why)
        return self.drop(request, **vars(taken))

    def decide(self, request: Request, form: Form) -> Response:
        session, what = self._session(request), form.get("act", ["answer"])[0]
        if what == "finish":
            session.close()
            return RedirectResponse("/", status_code=303)
        session.act(what, form.get("decision", [""])[0], form.get("value", ()), form.get("note", [""])[0])
        return RedirectResponse(request.url.path, status_code=303)

    def version(self, request: Request, *, message: str = "") -> Response:
        environment, names = self._environment, self._environment.names(request.path_params["workload"])
        package, s3 = find_package(environment, names, request.path_params["version"]), environment.client("s3")
        champion = ReleasePointers(state_of(environment, names)).champion()
        other = champion if champion and champion.version != package.version else None
        found = Decided(
            names=names,
            package=package,
            model=read_judged(environment, names, package),
            live=read_judged(environment, names, registry_of(environment, names).describe(other.package_arn))
            if other
            else None,
            signature=part(lambda: check_signature(s3, signing_key(environment), names, package), FAILURES),
            waiting=waiting(names, package),
            now=environment.now(),
            who=environment.identity(),
            is_released=Leases(state_of(environment, names)).find("release") is not None,
        )
        asked = question_of(workloads_folder() / names.workload)
        return HTMLResponse(version_page(found, asked=asked, token=self._token, message=message))

    def versions(self, request: Request) -> Response:
        """Any two versions beside each other; without a choice the live one and the newest other one."""
        environment, names = self._environment, self._environment.names(request.path_params["workload"])
        known = [one for one in find_versions(environment, names) if one.version]
        numbers = [one.version or "" for one in sorted(known, key=lambda one: one.status != "live")][:2]
        if len(numbers) < 2:
            raise EnvironmentNotFoundError(f"{names.workload}: expected two versions to compare, got {len(numbers)}")
        chosen = [
            request.query_params.get(place, number) for place, number in zip(("first", "second"), numbers, strict=True)
        ]
        return HTMLResponse(comparison_page(names, known, read_versions(environment, names, chosen)))

    def judge(self, request: Request, form: Form) -> Response:
        names, act = self._environment.names(request.path_params["workload"]), form.get("act", [""])[0]
        number, reason = request.path_params["version"], form.get("reason", [""])[0]
        if act not in JUDGEMENTS:
            return PlainTextResponse(f"Refused: expected one of {', '.join(JUDGEMENTS)}.\n", status_code=400)
        try:
            JUDGEMENTS[act](self._environment, names, number, reason=reason)
        except FAILURES as error:
            return self.version(request, message=str(error))
        return RedirectResponse(request.url.path, status_code=303)

    def act(self, request: Request, *, message: str = "", reason: str = "") -> Response:
        """The page that says what an act does and costs, before a person confirms it."""
        names, name = self._environment.names(request.path_params["workload"]), request.path_params["act"]
        if name not in ACTS:
            return PlainTextResponse(f"Refused: expected one of {', '.join(ACTS)}.\n", status_code=404)
        of = request.query_params.get("of", "")
        html = template("act.html.jinja").render(
            title=f"{ACTS[name].title} {spelled(of)}".strip(),
            names=names,
            act=ACTS[name],
            who=self._environment.identity(),
            token=self._token,
            is_done="done" in request.query_params,
            message=message,
            reason=reason,
        )
        return HTMLResponse(html)

    def confirm(self, request: Request, form: Form) -> Response:
        names, name = self._environment.names(request.path_params["workload"]), request.path_params["act"]
        of, reason = request.query_params.get("of", ""), form.get("reason", [""])[0].strip()
        if name not in ACTS or not reason:
            return self.act(request, message="expected a sentence for the audit, got an empty one")
        try:
            ACTS[name].do(self._environment, names, of, reason)
        except FAILURES as error:
            return self.act(request, message=unread(error).why, reason=reason)
        return RedirectResponse(f"{act_path(names.workload, name, of)}&done=1", status_code=303)

    def _session(self, request: Request) -> ReviewSession:
        """The person's session at the queue of the workload that the path names."""
        names = self._environment.names(request.path_params["workload"])
        with self._lock:
            if names.workload not in self._sessions:
                self._sessions[names.workload] = ReviewSession(
                    reviewer=Reviewer.of(self._environment, names, source="web")
                )
            return self._sessions[names.workload]

    def close(self) -> None:
        # Each is closed, also where another one cannot be.
        with ExitStack() as ends:
            for session in self._sessions.values():
                ends.callback(session.close)

    def failure(self, request: Request, error: Exception) -> Response:
        """The page that says why another page cannot be shown."""
        why = unread(error)
        status = 404 if isinstance(error, EnvironmentNotFoundError) else 403 if why.is_denied else 502
        platform, path = self._environment.platform, request.url.path
        html = template("failure.html.jinja").render(platform=platform, title=path.lstrip("/"), why=why)
        return HTMLResponse(html, status_code=status)
