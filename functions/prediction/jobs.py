"""Takes requests that are answered later, and tells what became of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from millrace.aws import queues
from millrace.decisions.jobs import Job, Jobs
from millrace.functions.prediction import request
from millrace.settings.prediction import CALL_ID
from millrace.state.callers import owner_of


class JobDesk:
    """The jobs of one workload, as its callers use them."""

    def __init__(self, jobs: Jobs, sqs: Any, queue_url: str) -> None:
        self._jobs, self._sqs, self._queue_url = jobs, sqs, queue_url

    def accept(self, job: Job) -> dict[str, Any]:
        """Keep the job and put it into the queue; the answer. A repeated call has the same answer."""
        self._jobs.keep(job)
        queues.send(self._sqs, self._queue_url, [job.id])
        return {"id": job.id, "status": "waiting"}

    def find(self, event: Mapping[str, Any], caller: str | None) -> dict[str, Any]:
        """The job that the path names. Another caller's is as one that there is not."""
        job_id = str(request.part(event, "pathParameters").get("id", ""))
        found = self._jobs.find(job_id, owner_of(caller)) if caller and CALL_ID.fullmatch(job_id) else None
        if found is None:
            expected = "the id of a job of yours, as its answer had it"
            raise request.refused("no job", expected, job_id[:80], "path", 404)
        return found
