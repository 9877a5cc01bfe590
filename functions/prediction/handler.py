"""Answers a request: reads it, decides its rows by the live endpoint, keeps the decisions, and returns predictions.

A request that comes by the path of jobs is kept instead, and its result comes later (`functions/jobs`). Requests by
other paths of the REST API look up what was decided (`lookups`)."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools import Logger

from millrace.decisions.jobs import Job, Jobs
from millrace.decisions.online import Asked, OnlineRoad
from millrace.decisions.road import Refusal
from millrace.functions.prediction import gate, jobs, request
from millrace.names import row_id_of
from millrace.settings.prediction import PredictionSettings
from millrace.state.callers import owner_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from aws_lambda_powertools.utilities.typing import LambdaContext

    from millrace.functions.prediction.lookups import Lookups

SETTINGS = PredictionSettings.parse()
LOGGER = Logger()
ROAD = OnlineRoad(SETTINGS, LOGGER)
GATE = gate.CallerGate(ROAD.state, SETTINGS, LOGGER)
QUEUE_URL = SETTINGS.jobs_queue_url
DESK = jobs.JobDesk(Jobs(boto3.client("s3"), SETTINGS.names), ROAD.sqs, QUEUE_URL) if QUEUE_URL else None


@LOGGER.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """The predictions and the rejected rows; of a job its id. Every decision is kept before this returns."""
    now = datetime.now(UTC)
    # The request as a whole: anything that is no request of this workload is refused with one error.
    caller = request.caller(event)
    refused = request.why_unsigned(event, caller) or GATE.refusal(caller, now)
    if DESK and refused is None and jobs.is_lookup(event):
        return request.reply(event, DESK.find(event, caller))
    if refused is None and request.is_lookup(event):
        return request.reply(event, lookups().answer(event, caller, now))
    body = refused or request.body(event)
    rows = body if isinstance(body, Refusal) else request.read_rows(body)
    if isinstance(rows, Refusal):
        return request.refuse(event, rows)
    explain = request.wants_explanations(body, len(rows), declared=ROAD.workload.explanations.rows > 0)
    if isinstance(explain, Refusal):
        return request.refuse(event, explain)
    repeatable = request.repeatable(event, caller)
    if isinstance(repeatable, Refusal):
        return request.refuse(event, repeatable)
    # Lambda keeps the id of an invocation when it retries, but it only retries asynchronous ones.
    call_id = request.call_id(body, repeatable.call_id if repeatable else context.aws_request_id, caller)
    if isinstance(call_id, Refusal):
        return request.refuse(event, call_id)
    if DESK and request.is_about_jobs(event):
        job_id = repeatable.call_id if repeatable else context.aws_request_id
        of = {"owner": owner_of(caller or ""), "caller": caller, "at": now, "explain": explain}
        job = Job(id=job_id, call_id=call_id, rows=rows, **of)
        make: Callable[[], dict[str, Any] | Refusal] = partial(DESK.accept, job)
        status = 202
    else:
        ids = [row_id_of(call_id, number) for number in range(len(rows))]
        whole = ROAD.complete(rows, ids, now)
        asked = Asked(rows=whole, ids=ids, at=now, source="api", caller=caller, explain=explain)
        make, status = partial(predict, asked, is_kept=repeatable is not None), 200
    return request.reply(event, GATE.once(repeatable, now, make) if repeatable else make(), status=status)


@cache
def lookups() -> Lookups:
    # Made at the first lookup: all others would wait for its imports at a cold start.
    from millrace.functions.prediction.lookups import Lookups

    return Lookups(SETTINGS.names, acts=ROAD.workload.policy is not None)


def predict(asked: Asked, *, is_kept: bool = False) -> dict[str, Any] | Refusal:
    """The document of the answer, when its decisions are on the queue.

    `is_kept` says whether the answer is kept, for a caller who repeats the request."""
    decided = ROAD.decide(asked)
    if isinstance(decided, Refusal):
        return decided
    document = decided.document()
    if is_kept and gate.pack(document) is None:
        return gate.TOO_LARGE
    ROAD.keep(decided)
    return document
