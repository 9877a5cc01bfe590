"""Amazon EMR Serverless: applications of Spark, and their runs.

AWS does: start drivers and executors of the declared size from the application's image, and bill them by the second.
moto does: keep applications of older releases, and call each run a success without running it.
We do: run the image's program as two processes, a driver and a Sail server in place of the executors.
Weaker: SQL and functions are those of Sail; the executors are one process of this machine. A run has billed what its
    declared workers would have cost. Refused by name: Hive, initial capacity, session policies, retries, other logs.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from moto.core.responses import ActionResult
from moto.emrserverless.exceptions import AccessDeniedException, ResourceNotFoundException, ValidationException
from moto.emrserverless.responses import EMRServerlessResponse
from moto.iam.exceptions import NotFoundException

from localcloud.emr_serverless.runs import OVER, SERVICE, Run
from localcloud.emr_serverless.workers import Workers, properties
from localcloud.kernel.cloud import ACCOUNT, Cloud
from localcloud.kernel.patching import replace
from localcloud.kernel.trust import check_trust
from localcloud.sagemaker.api import caller_of

Fields = dict[str, Any]
_NOT_COVERED = {
    *("initialCapacity", "workerTypeSpecifications", "executionIamPolicy", "retryPolicy", "mode", "hive"),
    *("applicationConfiguration", "runtimeConfiguration", "interactiveConfiguration", "schedulerConfiguration"),
    *("cloudWatchLoggingConfiguration", "s3MonitoringConfiguration", "prometheusMonitoringConfiguration"),
}
_IDLE_MINUTES, _TIMEOUT_MINUTES, _LEAST_MINUTES = 15, 720, 5
"""Minutes after which an idle application stops, and those of a run: where nothing is said, and at least.

https://docs.aws.amazon.com/emr/latest/EMR-Serverless-UserGuide/considerations.html"""


@dataclass(kw_only=True)
class Spark:
    """The applications and runs of one cloud."""

    cloud: Cloud
    applications: dict[str, Fields] = field(default_factory=dict)
    """By id, as GetApplication answers them."""
    runs: dict[str, Run] = field(default_factory=dict)
    """By id, and by the token of the call: a second call with the token starts nothing."""

    def application(self, request: Fields) -> Fields:
        """The application that the request names, which has stopped if it was idle for long enough."""
        found = self.applications.get(request["applicationId"])
        if found is None:
            raise ResourceNotFoundException(request["applicationId"])
        stops, used = found["autoStopConfiguration"], [found, *(run.fields for run in self._runs_of(found))]
        idle = self.cloud.clock.now() - max(one["updatedAt"] for one in used)
        is_over = idle > timedelta(minutes=stops.get("idleTimeoutMinutes", _IDLE_MINUTES)) and not self._is_busy(found)
        if found["state"] == "STARTED" and stops.get("enabled", True) and is_over:
            found["state"] = "STOPPED"
        return found

    def _runs_of(self, application: Fields) -> list[Run]:
        return [one for one in self.runs.values() if one.fields["applicationId"] == application["applicationId"]]

    def _is_busy(self, application: Fields) -> bool:
        return any(run.fields["state"] not in OVER for run in self._runs_of(application))

    def run(self, request: Fields) -> Run:
        found = self.runs.get(request["jobRunId"])
        if found is None or found.fields["applicationId"] != request["applicationId"]:
            raise ResourceNotFoundException(request["jobRunId"], "JobRun")
        return found

    def create_application(self, request: Fields, _: str) -> Fields:
        if request["type"].upper() != "SPARK" or "imageConfiguration" not in request:
            raise ValidationException("the local cloud covers applications of SPARK with an image of their own")
        name, now = secrets.token_hex(8), self.cloud.clock.now()
        own = {"applicationId": name, "state": "CREATED", "createdAt": now, "updatedAt": now}
        own["arn"] = f"arn:aws:emr-serverless:{self.cloud.region}:{ACCOUNT}:/applications/{name}"
        unsaid: Fields = {"autoStartConfiguration": {}, "autoStopConfiguration": {}}
        self.applications[name] = {**unsaid, **request, **own}
        return self.applications[name]

    def get_application(self, request: Fields, _: str) -> Fields:
        return {"application": self.application(request)}

    def update_application(self, request: Fields, _: str) -> Fields:
        found = self._at_rest(request)
        found |= {**request, "updatedAt": self.cloud.clock.now()}
        return {"application": found}

    def delete_application(self, request: Fields, _: str) -> Fields:
        del self.applications[self._at_rest(request)["applicationId"]]
        return {}

    def stop_application(self, request: Fields, _: str) -> Fields:
        found = self.application(request)
        if self._is_busy(found):
            raise ValidationException(f"Application {request['applicationId']} has running jobs")
        found["state"] = "STOPPED"
        return {}

    def _at_rest(self, request: Fields) -> Fields:
        found = self.application(request)
        if found["state"] == "STARTED":
            said = "must be in one of the following statuses [CREATED, STOPPED]. Current status: STARTED"
            raise ValidationException(f"Application {request['applicationId']} {said}")
        return found

    def start_job_run(self, request: Fields, caller: str) -> Fields:
        """Start a run on a thread of its own. Raises an error of the API for what AWS refuses or is not covered."""
        application, token = self.application(request), request.pop("clientToken")
        if token in self.runs:
            return self.runs[token].fields
        if application["state"] != "STARTED" and not application["autoStartConfiguration"].get("enabled", True):
            raise ValidationException(f"Application {request['applicationId']} is not started")
        role, minutes = request["executionRoleArn"], request.get("executionTimeoutMinutes", _TIMEOUT_MINUTES)
        if 0 < minutes < _LEAST_MINUTES:
            raise ValidationException(f"RunTimeout must be at least {_LEAST_MINUTES} minutes.")
        submitted, name, now = request["jobDriver"]["sparkSubmit"], secrets.token_hex(8), self.cloud.clock.now()
        if not submitted["entryPoint"].startswith("local:///"):
            raise ValidationException("the local cloud covers an entryPoint of the image alone: local:///<path>")
        try:
            check_trust(role, SERVICE)
            asked = properties(submitted.get("sparkSubmitParameters", ""))
            workers = Workers(asked=asked, capacity=application.get("maximumCapacity", {}))
            workers.executors  # noqa: B018 - it raises for a size that no worker has
        except (PermissionError, NotFoundException):
            raise AccessDeniedException(f"The execution role {role} cannot be assumed by {SERVICE}") from None
        except ValueError as error:
            raise ValidationException(str(error)) from None
        application |= {"state": "STARTED", "updatedAt": now}
        own = {"executionRole": role, "executionTimeoutMinutes": minutes, "createdBy": caller, "jobRunId": name}
        own |= {"state": "SUBMITTED", "stateDetails": "", "createdAt": now, "updatedAt": now}
        own |= {"releaseLabel": application["releaseLabel"], "arn": f"{application['arn']}/jobruns/{name}"}
        uri = application["imageConfiguration"]["imageUri"]
        run = Run(cloud=self.cloud, fields={**request, **own}, image_uri=uri, workers=workers)
        self.runs[name] = self.runs[token] = run
        self.cloud.background(f"run {name}", run.live)
        return run.fields

    def get_job_run(self, request: Fields, _: str) -> Fields:
        return {"jobRun": self.run(request).fields}

    def cancel_job_run(self, request: Fields, _: str) -> Fields:
        run = self.run(request)
        if run.fields["state"] in OVER:
            raise ValidationException(f"Job run {request['jobRunId']} is in the state {run.fields['state']}")
        run.set("CANCELLING")
        run.stop.set()
        return run.fields

    def pending(self) -> list[str]:
        """The runs in progress, for people."""
        found = {run.fields["jobRunId"] for run in list(self.runs.values()) if not run.finished.is_set()}
        return [f"run {name} of Spark" for name in sorted(found)]

    def end_all(self) -> None:
        for run in self.runs.values():
            run.stop.set()


def _keys(value: Any) -> Iterator[str]:
    """The names of all members, at any depth."""
    for key, inner in value.items() if isinstance(value, dict) else ():
        yield key
        yield from _keys(inner)


def spark(cloud: Cloud) -> Spark:
    return cloud.part(Spark, lambda: Spark(cloud=cloud))


def _answer(respond: Callable[[Fields, str], Fields]) -> Callable[[Any], ActionResult]:
    def method(response: Any) -> ActionResult:
        request = {**response.uri_match, **response.params}
        if found := sorted(_NOT_COVERED & set(_keys(request))):
            raise ValidationException(f"the local cloud does not cover {', '.join(found)}")
        return ActionResult(respond(request, caller_of(response)))

    return method


def install(cloud: Cloud) -> None:
    kept = spark(cloud)
    operations = [name for name in vars(Spark) if name.endswith(("_application", "_job_run"))]
    replace(EMRServerlessResponse, **{name: _answer(getattr(kept, name)) for name in operations})
    cloud.pending.append(kept.pending)
    cloud.at_stop(kept.end_all)
