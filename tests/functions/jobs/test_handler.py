"""The function of jobs: a kept request becomes decisions and a result; without an answer it is tried, then failed."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aws_lambda_powertools.utilities.circuit_breaker import base

from millrace.decisions.jobs import Job, Jobs
from tests.functions.cold_start import NAMES, Handler
from tests.functions.conftest import Aws
from tests.functions.prediction.conftest import decisions, endpoint, gone_live, queue_url, workload

__all__ = ["decisions", "endpoint", "queue_url", "workload"]
EVENTS = Path(__file__).resolve().parents[3] / "events"
AT = datetime(2026, 11, 20, 7, 30, tzinfo=UTC)


@pytest.fixture
def jobs(queue_url: str, aws: Aws) -> Jobs:
    return Jobs(aws.s3, NAMES)


@pytest.fixture
def work_off(jobs: Jobs, load: Any, monkeypatch: pytest.MonkeyPatch) -> Handler:
    monkeypatch.setenv("MILLRACE_TRIES", "5")
    base._LOCAL_FAILURES.clear()
    handler: Handler = load("jobs")
    return handler


def event(tries: int = 1) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((EVENTS / "jobs_queue.json").read_text())
    found["Records"][0]["attributes"]["ApproximateReceiveCount"] = str(tries)
    return found


def left(jobs: Jobs) -> Job:
    """A job of three rows, of which the second is too expensive."""
    rows = json.loads((EVENTS / "prediction.json").read_text())["rows"][:3]
    rows[1]["nswprice"] = 7
    job_id = event()["Records"][0]["body"]
    job = Job(id=job_id, owner="me", caller="me", at=AT, call_id="order-7", rows=rows, explain=False)
    jobs.keep(job)
    return job


def test_without_an_answer_it_is_tried_again_and_failed_at_the_last_try_until_a_redrive_does_it(
    work_off: Handler, jobs: Jobs, endpoint: Any, decisions: Any
) -> None:
    gone_live()
    healthy = (endpoint.status, endpoint.code)
    endpoint.status, endpoint.code = 403, "AccessDeniedException"
    job, again = left(jobs), {"batchItemFailures": [{"itemIdentifier": event()["Records"][0]["messageId"]}]}
    assert work_off(event(4)) == again
    assert jobs.find(job.id, "me") == {"id": job.id, "status": "waiting"}
    assert work_off(event(5)) == again, "it becomes a dead letter"
    found = jobs.find(job.id, "me")
    assert found is not None
    assert (found["status"], found["error"]["error"], set(found["error"])) == (
        "failed", "no model", {"error", "expected", "came", "where"},
    )  # fmt: skip
    assert decisions() == []
    endpoint.status, endpoint.code = healthy
    assert work_off(event(1)) == {"batchItemFailures": []}
    assert (jobs.find(job.id, "me") or {})["status"] == "done"


def test_a_request_that_cannot_be_read_fails_with_the_reason(
    work_off: Handler, jobs: Jobs, told: Any, aws: Aws
) -> None:
    job = left(jobs)
    broken = job.model_dump(mode="json") | {"rows": "many"}
    aws.put(NAMES.lake_uri("staging", "jobs", job.id, "request.json"), json.dumps(broken))
    again = {"batchItemFailures": [{"itemIdentifier": event()["Records"][0]["messageId"]}]}
    assert work_off(event(4)) == again
    assert (jobs.find(job.id, "me") or {})["status"] == "waiting"
    assert told() == []
    assert work_off(event(5)) == again
    found = jobs.find(job.id, "me") or {}
    assert (found["status"], found["error"]["error"], found["error"]["where"]) == (
        "failed", "no request", "request.json",
    )  # fmt: skip
    assert "rows" in found["error"]["came"]
    assert jobs.find(job.id, "you") is None
    (event_told,) = told()
    assert (event_told["detail-type"], event_told["detail"]["job"]) == ("job.failed", job.id)
    assert work_off(event(6)) == again, "it becomes a dead letter"
    assert (jobs.find(job.id, "me"), told()) == (found, [])


def test_a_job_whose_tries_have_ended_the_function_fails_at_the_delivery_after_them(
    work_off: Handler, jobs: Jobs, endpoint: Any, decisions: Any, told: Any
) -> None:
    job = left(jobs)
    assert work_off(event(6)) == {"batchItemFailures": [{"itemIdentifier": event()["Records"][0]["messageId"]}]}
    found = jobs.find(job.id, "me") or {}
    assert (found["status"], found["error"]["error"]) == ("failed", "no result")
    assert [one["detail-type"] for one in told()] == ["job.failed"]
    assert (endpoint.requests, decisions()) == ([], []), "nothing is tried that may end the function again"
    assert work_off(event(1)) == {"batchItemFailures": []}, "after a redrive"
    assert (jobs.find(job.id, "me") or {})["status"] == "done"
    assert [one["detail-type"] for one in told()] == ["job.done"]
