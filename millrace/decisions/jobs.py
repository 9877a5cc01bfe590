"""Requests that are answered later: each is kept in the lake, and in the end its result beside it.

electricity/staging/jobs/9f86d081884c7d65/request.json   {"caller": "arn:…", "at": "2026-11-20T07:30:00Z", "rows": […]}
electricity/staging/jobs/9f86d081884c7d65/result.json    {"owner": "arn:…", "status": "waiting"}

In the end the result is `done` with the field `result`, the answer of a request, or `failed` with an `error`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from millrace.aws.objects import keys_below
from millrace.decisions.road import Refusal
from millrace.errors import RefusedError
from millrace.messages.envelope import Moment
from millrace.names import WorkloadNames

FOLDER = "staging/jobs"
"""The folder of the objects, below the workload's folder in the lake. All below `staging` is kept for a month."""
REQUEST, RESULT = "request.json", "result.json"
MOST_SAID = 200
"""The most characters that are told of what is wrong with a request."""


class Job(BaseModel):
    """A request, as it was accepted."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    owner: str
    """Who may see it: the caller's role, for a session of a role."""
    caller: str | None
    at: Moment
    call_id: str
    """The beginning of the ids of its decisions."""
    rows: Annotated[tuple[Mapping[str, Any], ...], Field(min_length=1)]
    explain: bool


class Jobs:
    """The jobs of one workload."""

    def __init__(self, s3: Any, names: WorkloadNames) -> None:
        self._s3, self._names, self._bucket = s3, names, names.platform.bucket("lake")

    def keep(self, job: Job) -> None:
        """Keep the request. What an earlier job of this id has left counts no more: a key may be used again in time."""
        self._put(job.id, REQUEST, job.model_dump(mode="json", exclude={"rows"}) | {"rows": list(job.rows)})
        self._put(job.id, RESULT, {"owner": job.owner, "status": "waiting"})

    def read(self, job_id: str) -> Job:
        """The job with this id, which exists. Raises RefusedError if its request cannot be read."""
        try:
            return Job.model_validate(self._get(job_id, REQUEST))
        except ValueError as error:  # no JSON, or not a Job
            expected = "a request as it was accepted, by the same release of the functions"
            refusal = Refusal(error="no request", expected=expected, came=str(error)[:MOST_SAID], where=REQUEST)
            raise RefusedError(refusal) from error

    def is_waiting(self, job_id: str) -> bool:
        return bool(self._get(job_id, RESULT)["status"] == "waiting")

    def find(self, job_id: str, owner: str) -> dict[str, Any] | None:
        """The job as its owner sees it; None if there is no such job of his."""
        if self._key(job_id, RESULT) not in keys_below(self._s3, self._bucket, self._key(job_id, "")):
            return None
        found = self._get(job_id, RESULT)
        return {"id": job_id, **found} if found.pop("owner") == owner else None

    def end(self, job_id: str, document: Mapping[str, Any]) -> str:
        """Keep the result, `done` or `failed`, and return its URI. A later one takes the place of an earlier one."""
        self._put(job_id, RESULT, {"owner": self._get(job_id, RESULT)["owner"], **document})
        return f"s3://{self._bucket}/{self._key(job_id, RESULT)}"

    def _key(self, job_id: str, name: str) -> str:
        return f"{self._names.workload}/{FOLDER}/{job_id}/{name}"

    def _put(self, job_id: str, name: str, document: Mapping[str, Any]) -> None:
        # A number beyond the range is written as Infinity, and its row is refused when the job is worked off.
        body = json.dumps(document, separators=(",", ":")).encode()
        key = self._key(job_id, name)
        self._s3.put_object(Bucket=self._bucket, Key=key, Body=body, ContentType="application/json")

    def _get(self, job_id: str, name: str) -> dict[str, Any]:
        answer = self._s3.get_object(Bucket=self._bucket, Key=self._key(job_id, name))
        document: dict[str, Any] = json.loads(answer["Body"].read())
        return document
