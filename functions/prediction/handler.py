"""Answers a request: reads it, decides its rows by the live endpoint, keeps the decisions, and returns predictions.

A request that comes by the path of jobs is kept instead, and its result comes later (`functions/jobs`). Requests by
other paths of the REST API look up what was decided (`lookups`)."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools import Logger

from millrace.consumers.next_workload import chained_id
from millrace.decisions.jobs import Job, Jobs
from millrace.decisions.online import Asked, OnlineRoad
from millrace.errors import RefusedError
from millrace.functions.prediction import gate, jobs, request
from millrace.names import row_id_of
from millrace.settings.prediction import BROUGHT, PredictionSettings
from millrace.state.callers import owner_of
from millrace.timestamps import parse_utc

if TYPE_CHECKING:
    from collections.abc import Mapping

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
    try:
        # Lambda keeps the id of an invocation when it retries, but it only retries asynchronous ones.
        if ROAD.models and "model" in event and not request.is_http(event):  # a release asks, by Lambda's own API
            return ROAD.models.reply(event)
        return request.answer(event, *answer_to(event, context, datetime.now(UTC)))
    except RefusedError as error:
        return request.refuse(event, error.refusal)


def answer_to(event: dict[str, Any], context: LambdaContext, now: datetime) -> tuple[dict[str, Any], int]:
    """The document of the answer, and its status in HTTP.

    Raises RefusedError for what is no request of this workload, and if nobody may answer it."""
    caller = request.caller(event)
    request.check_signed(event, caller)
    if not request.is_http(event) and "decisions" in event:  # another workload's consumer calls by Lambda's own API
        ROAD.consumers.send_unanswered(
            {name: one[name] for name in ("reason", "because", "decided_at", "event_time")}
            | {"id": chained_id(one["id"], event["workload"]), "source": "workload"}
            for one in event.get("unanswered", ())
        )
        return predict(passed_on(event, now)), 200
    GATE.check(caller, now)
    about = request.subject(event)
    if about == "decisions":
        return lookups().answer(event, caller, now), 200
    if DESK and about == "jobs" and event["httpMethod"] == "GET":
        return DESK.find(event, caller), 200
    body = request.body(event)
    rows = request.read_rows(body)
    explains = ROAD.workload.explanations.rows > 0 and about not in BROUGHT
    explain = request.wants_explanations(body, len(rows), declared=explains)
    repeatable = request.repeatable(event, caller)
    own_id = repeatable.call_id if repeatable else context.aws_request_id
    call_id = request.call_id(body, own_id, caller)
    if about in BROUGHT:
        make, status = partial(lookups().drop, about, rows, call_id, caller or ""), 202
    elif DESK and about == "jobs":
        of = {"owner": owner_of(caller or ""), "caller": caller, "at": now, "explain": explain}
        make = partial(DESK.accept, Job(id=own_id, call_id=call_id, rows=rows, **of))
        status = 202
    else:
        ids = [row_id_of(call_id, number) for number in range(len(rows))]
        whole = ROAD.complete(rows, ids, now)
        asked = Asked(rows=whole, ids=ids, at=now, source="api", caller=caller, explain=explain)
        make, status = partial(predict, asked, is_kept=repeatable is not None), 200
    return GATE.once(repeatable, context, make) if repeatable else make(), status


def passed_on(event: Mapping[str, Any], now: datetime) -> Asked:
    """The decisions of another workload as rows, each by the time of its decision: one that comes again is the same."""
    documents = [one | {"id": chained_id(one["id"], event["workload"])} for one in event["decisions"]]
    rows = [row for one in documents for row in ROAD.complete([one["row"]], [one["id"]], parse_utc(one["decided_at"]))]
    tells = any(one["tells"] for one in documents)
    return Asked(rows=rows, ids=[one["id"] for one in documents], at=now, source="workload", tells=tells)


@cache
def lookups() -> Lookups:
    # Made at the first lookup: all others would wait for its imports at a cold start.
    from millrace.functions.prediction.lookups import Lookups

    return Lookups(SETTINGS.names, acts=ROAD.workload.policy is not None)


def predict(asked: Asked, *, is_kept: bool = False) -> dict[str, Any]:
    """The document of the answer, when its decisions are on the queue.

    `is_kept` says whether the answer is kept, for a caller who repeats the request."""
    decided = ROAD.decide(asked)
    document = decided.document()
    if is_kept:
        gate.pack(document)
    ROAD.keep(decided)
    if asked.tells:
        ROAD.tell_refused(((asked.ids[one.row], one) for one in decided.rejected), asked)
    return document
