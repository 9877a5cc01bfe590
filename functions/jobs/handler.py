"""Works off jobs: decides the rows of a kept request, keeps the result beside it, and tells the bus."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSEvent, SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from millrace.aws.bus import put_event
from millrace.decisions.jobs import Jobs
from millrace.decisions.online import Asked, Decided, OnlineRoad
from millrace.decisions.road import Refusal
from millrace.errors import RefusedError
from millrace.messages.events import JobDone, JobFailed
from millrace.names import row_id_of
from millrace.settings.prediction import JobsSettings

SETTINGS = JobsSettings.parse()
LOGGER = Logger()
ROAD = OnlineRoad(SETTINGS, LOGGER)
JOBS = Jobs(boto3.client("s3"), SETTINGS.names)
EVENTS = boto3.client("events")
BROKEN = Refusal(
    error="no result",
    expected=f"an answer in {SETTINGS.tries} tries",
    came="a function that broke at each: its log says why",
    where="functions/jobs",
    status=500,
)


@LOGGER.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, list[dict[str, str]]]:
    """Work off each job, and return those that nobody may answer now: they come again, and at last are dead letters."""
    arn = context.invoked_function_arn
    failed = [record.message_id for record in SQSEvent(event).records if not works_off(record, arn)]
    return {"batchItemFailures": [{"itemIdentifier": message} for message in failed]}


def works_off(record: SQSRecord, function_arn: str) -> bool:
    """Whether the job is done. At the last try it is failed, too; a redrive may still do it.

    One more delivery follows, which decides nothing: there a job is failed whose tries have ended the function."""
    job_id, tried = record.body, int(record.attributes.approximate_receive_count)
    if tried > SETTINGS.tries and not JOBS.is_waiting(job_id):
        return False
    told = {"workload": SETTINGS.workload, "run": function_arn, "cause": job_id, "job": job_id}
    try:
        if tried > SETTINGS.tries:
            raise RefusedError(BROKEN)
        decided = decide(job_id)
    except RefusedError as error:
        fail(error.refusal, told, is_last=tried >= SETTINGS.tries)
        return False
    ROAD.keep(decided)
    uri = JOBS.end(job_id, {"status": "done", "result": decided.document()})
    put_event(EVENTS, SETTINGS.platform, JobDone(**told, uri=uri))
    return True


def fail(found: Refusal, told: Mapping[str, str], *, is_last: bool) -> None:
    """Say that the job has no answer; at the last try in its result too."""
    job_id = told["job"]
    LOGGER.error("a job without an answer", extra={"job": job_id, "expected": found.expected, "came": found.came})
    if is_last:
        error = {name: asdict(found)[name] for name in ("error", "expected", "came", "where")}
        uri = JOBS.end(job_id, {"status": "failed", "error": error})
        put_event(EVENTS, SETTINGS.platform, JobFailed(**told, uri=uri, error=found.error))


def decide(job_id: str) -> Decided:
    """The decisions on the rows of the job, not kept yet."""
    job = JOBS.read(job_id)
    ids = [row_id_of(job.call_id, number) for number in range(len(job.rows))]
    # Completed by the time of the request, so that a job that comes again has the same rows.
    rows = ROAD.complete(job.rows, ids, job.at)
    now = datetime.now(UTC)
    return ROAD.decide(Asked(rows=rows, ids=ids, at=now, source="async", caller=job.caller, explain=job.explain))
