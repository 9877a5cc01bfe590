"""Amazon EMR Serverless: applications of Spark, and their runs.

AWS does: start drivers and executors of the declared size from the application's image, and bill them by the second.
moto does: keep applications of older releases, and call each run a success without running it.
We do: run the image's program as two processes, a driver and a Sail server in place of the executors.
Weaker: SQL and functions are those of Sail; the executors are one process of this machine, measured as
    one worker of the declared size. Nothing is billed, no event is sent, an application stops as soon as it has no run,
    and a token starts a run once more. Refused by name: Hive, applications that wait for a start, initial capacity,
    session policies, retries, other logs.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from moto.core.responses import ActionResult
from moto.emrserverless.exceptions import ResourceNotFoundException, ValidationException
from moto.emrserverless.responses import EMRServerlessResponse

from localcloud.emr_serverless.runs import SERVICE, Run, memory_mb, properties
from localcloud.kernel.cloud import ACCOUNT, Cloud
from localcloud.kernel.patching import replace
from localcloud.sagemaker.api import Fields, check_role
from localcloud.sagemaker.jobs.jobs import begin, jobs

_NOT_COVERED = {
    *("initialCapacity", "workerTypeSpecifications", "executionIamPolicy", "retryPolicy", "mode", "hive"),
    *("applicationConfiguration", "runtimeConfiguration", "interactiveConfiguration", "schedulerConfiguration"),
    *("cloudWatchLoggingConfiguration", "s3MonitoringConfiguration", "prometheusMonitoringConfiguration"),
}
_TIMEOUT_MINUTES, _LEAST_MINUTES = 720, 5
"""The time limit of a run: where nothing is said, and at least."""


@dataclass(kw_only=True)
class Spark:
    """The applications, as GetApplication answers them, and the runs of one cloud, each by its id."""

    cloud: Cloud
    applications: dict[str, Fields] = field(default_factory=dict)
    runs: dict[str, Run] = field(default_factory=dict)

    def application(self, request: Fields, *, at_rest: bool = False) -> Fields:
        """The application that the request names. Raises ValidationException if it is to be at rest and has a run."""
        found = self.applications.get(request["applicationId"])
        if found is None:
            raise ResourceNotFoundException(request["applicationId"])
        runs = [run for run in list(self.runs.values()) if run.fields["applicationId"] == found["applicationId"]]
        if runs:
            found["state"] = "STOPPED" if all(run.finished.is_set() for run in runs) else "STARTED"
        if at_rest and found["state"] == "STARTED":
            said = "must be in one of the following statuses [CREATED, STOPPED]. Current status: STARTED"
            raise ValidationException(f"Application {request['applicationId']} {said}")
        return found

    def run(self, request: Fields) -> Run:
        found = self.runs.get(request["jobRunId"])
        if found is None or found.fields["applicationId"] != request["applicationId"]:
            raise ResourceNotFoundException(request["jobRunId"], "JobRun")
        return found

    def create_application(self, request: Fields) -> Fields:
        starts = request.get("autoStartConfiguration", {}).get("enabled", True)
        if request["type"].upper() != "SPARK" or "imageConfiguration" not in request or not starts:
            raise ValidationException("the local cloud covers SPARK with an image of its own, which a run starts")
        name, now = secrets.token_hex(8), self.cloud.clock.now()
        arn = f"arn:aws:emr-serverless:{self.cloud.region}:{ACCOUNT}:/applications/{name}"
        own = {"applicationId": name, "arn": arn, "state": "CREATED", "createdAt": now, "updatedAt": now}
        self.applications[name] = {**request, **own}
        return self.applications[name]

    def get_application(self, request: Fields) -> Fields:
        return {"application": self.application(request)}

    def update_application(self, request: Fields) -> Fields:
        found = self.application(request, at_rest=True)
        found |= {**request, "updatedAt": self.cloud.clock.now()}
        return {"application": found}

    def delete_application(self, request: Fields) -> Fields:
        del self.applications[self.application(request, at_rest=True)["applicationId"]]
        return {}

    def start_job_run(self, request: Fields) -> Fields:
        """Start a run on a thread of its own. Raises an error of the API for what AWS refuses or is not covered."""
        application = self.application(request)
        role, minutes = request["executionRoleArn"], request.get("executionTimeoutMinutes", _TIMEOUT_MINUTES)
        if 0 < minutes < _LEAST_MINUTES:
            raise ValidationException(f"RunTimeout must be at least {_LEAST_MINUTES} minutes.")
        submitted, name = request["jobDriver"]["sparkSubmit"], secrets.token_hex(8)
        if not submitted["entryPoint"].startswith("local:///"):
            raise ValidationException("the local cloud covers an entryPoint of the image alone: local:///<path>")
        check_role(role, SERVICE)
        try:
            asked = properties(submitted.get("sparkSubmitParameters", ""))
            driver_mb, executors_mb = memory_mb(asked, application.get("maximumCapacity", {}))
        except ValueError as error:
            raise ValidationException(str(error)) from None
        arn, names = f"{application['arn']}/jobruns/{name}", {"jobRunId": name, "SparkJobName": name}
        own = {**names, "arn": arn, "SparkJobArn": arn, "executionRole": role, "createdAt": self.cloud.clock.now()}
        own |= {"executionTimeoutMinutes": minutes, "releaseLabel": application["releaseLabel"]}
        most = jobs(self.cloud).most_mb
        self.runs[name] = job = Run(
            cloud=self.cloud,
            kind="Spark",
            fields={**request, **own},
            root=self.cloud.workspace / "jobs" / "spark" / name,
            role_arn=role,
            limit_s=60 * (minutes or float("inf")),
            memory_mb=min(most, driver_mb),
            image_uri=application["imageConfiguration"]["imageUri"],
            asked=asked,
            executors_mb=min(most, executors_mb),
        )
        begin(job, job.run)
        return job.fields

    def get_job_run(self, request: Fields) -> Fields:
        return {"jobRun": self.run(request).fields}

    def cancel_job_run(self, request: Fields) -> Fields:
        run = self.run(request)
        if run.finished.is_set():
            raise ValidationException(f"Job run {request['jobRunId']} is in the state {run.fields['state']}")
        run.set("Stopping")
        run.stop.set()
        return run.fields


def _answer(respond: Callable[[Fields], Fields]) -> Callable[[Any], ActionResult]:
    def method(response: Any) -> ActionResult:
        request = {**response.uri_match, **response.params}
        # At any depth: a text that looks like a member is quoted once more.
        text = json.dumps(request, default=str)
        if found := sorted(name for name in _NOT_COVERED if f'"{name}": ' in text):
            raise ValidationException(f"the local cloud does not cover {', '.join(found)}")
        return ActionResult(respond(request))

    return method


def install(cloud: Cloud) -> None:
    kept = Spark(cloud=cloud)
    operations = [name for name in vars(Spark) if name.endswith(("_application", "_job_run"))]
    replace(EMRServerlessResponse, **{name: _answer(getattr(kept, name)) for name in operations})
