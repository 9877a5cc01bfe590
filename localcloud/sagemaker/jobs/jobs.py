"""The API of training, processing and transform jobs, and the life of a job.

What differs between the kinds is in `training.py`, `processing.py` and `transform.py`."""

from __future__ import annotations

import os
import re
import shutil
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from localcloud.kernel.cloud import Cloud
from localcloud.kernel.memory import machine_mb
from localcloud.sagemaker.api import (
    Fields,
    RefusedError,
    answer,
    arn,
    check_role,
    existing,
    invalid,
    new_fields,
    page,
    records,
    serve_tags,
)
from localcloud.sagemaker.channels import MoveError
from localcloud.sagemaker.jobs import processing, training, transform
from localcloud.sagemaker.jobs.job import Job, JobError

# What a job may take: the memory of its instance as declared, and a share of this machine.

SHARE = 0.75
"""The share of this machine's memory that one job may hold, whatever its instance has."""
JOB_MB = 2048
"""What a job needs, roughly: no more jobs run at once than this machine has memory for. Others wait."""
_TYPE = re.compile(r"ml\.(?P<family>[a-z]+)\d+[a-z0-9-]*\.(?P<times>\d*)(?P<size>medium|large|xlarge)")
_OWN_DISK = re.compile(r"ml\.(g[567]|p[56]|trn|[a-z]+\d+[a-z]*d)")
"""The families whose instances have a disk of their own: `g5`, `m5d`, `c6id`, `g4dn`."""
_UNITS = {"medium": 1, "large": 2, "xlarge": 4}
_GIB = {"c": 2, "r": 8, "x": 16, "p": 8}
"""GiB for each virtual processor of a family, the least that one of its types has; 4 of the others.

https://docs.aws.amazon.com/sagemaker/latest/dg/instance-types-az.html"""


def instance_mb(kind: str) -> float:
    """MiB of an instance: 8192 of `ml.m5.large`. That of a type without a size is without bound."""
    parts = _TYPE.fullmatch(kind)
    if parts is None:
        return float("inf")
    return 1024.0 * _GIB.get(parts["family"][0], 4) * _UNITS[parts["size"]] * int(parts["times"] or 1)


def volume_gb(cluster: Fields) -> float:
    """The size of the volume of each instance. One that is not asked for, or is the instance's own disk, has no bound.

    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ResourceConfig.html"""
    has_own = _OWN_DISK.match(cluster.get("InstanceType", ""))
    return float("inf") if has_own else cluster.get("VolumeSizeInGB", float("inf"))


def most_jobs() -> int:
    """How many jobs run at once on this machine."""
    return max(2, min(2 * (os.cpu_count() or 1), int(machine_mb() // JOB_MB)))


_POLL_S = 0.1


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What differs between the three kinds of job."""

    name: str
    """`Training`, `Processing` or `Transform`."""
    prepare: Callable[[Cloud, Fields], tuple[str, float]]
    """Returns the role ARN and the time limit in seconds of a request. Raises RefusedError for what is not covered."""
    run: Callable[[Job], None]
    """Runs the job to its end. Raises JobError or MoveError if it fails."""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Members that Describe answers from the start, beside those of the request."""

    @property
    def resource(self) -> str:
        """The kind in ARNs (`training-job`)."""
        return f"{self.name.lower()}-job"


@dataclass(kw_only=True)
class Jobs:
    """The jobs of one cloud that have not ended, and for every job an event that is set at its end."""

    running: dict[str, Job] = field(default_factory=dict)
    """By ARN."""
    ended: dict[str, threading.Event] = field(default_factory=dict)
    """By ARN. It stays when the job has ended."""
    no_spot: bool = False
    """Whether no spot instance ever comes. A test sets it."""
    most_mb: float = field(default_factory=lambda: SHARE * machine_mb())
    """What one job may hold on this machine, in MiB. A test sets it."""
    gb_bytes: float = 2**30
    """What a GB of a volume holds. A test sets it."""
    slots: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(most_jobs()))
    """One for each job that may run at once on this machine."""


def jobs(cloud: Cloud) -> Jobs:
    return cloud.part(Jobs)


def pending(cloud: Cloud) -> list[str]:
    """The jobs in progress, as `training job NAME`."""
    return [f"{job.kind.lower()} job {job.name}" for job in list(jobs(cloud).running.values())]


TRAINING = Kind(
    name="Training",
    prepare=training.prepare,
    run=training.run,
    defaults={"SecondaryStatus": "Starting", "ProfilingStatus": "Disabled"},
)
KINDS = (
    TRAINING,
    Kind(name="Processing", prepare=processing.prepare, run=processing.run),
    Kind(name="Transform", prepare=transform.prepare, run=transform.run),
)


def serve_jobs(cloud: Cloud) -> None:
    """Answer Create, Describe, Stop, List and Delete of the three kinds of job, and the operations on tags."""
    serve_tags(cloud)
    for kind in KINDS:
        _install(cloud, kind)
    cloud.at_stop(lambda: _end_all(cloud))


def _end_all(cloud: Cloud) -> None:
    for job in list(jobs(cloud).running.values()):
        job.stop.set()


def _install(cloud: Cloud, kind: Kind) -> None:
    def find(request: Fields) -> Fields:
        name = request[f"{kind.name}JobName"]
        missing = f"Could not find requested job with name: {name.lower()}"
        return existing(cloud, kind.resource, name, "Requested resource not found." if kind is TRAINING else missing)

    def stop(request: Fields) -> Fields:
        fields = find(request)
        job = jobs(cloud).running.get(fields[f"{kind.name}JobArn"])
        if job is None:
            said = f"the {kind.name.lower()} job is in status {fields[f'{kind.name}JobStatus']}."
            raise invalid(f"The request was rejected because {said}")
        # The status says Stopping first: `stop` wakes the job's thread, which may end the job at once.
        secondary = {"SecondaryStatus": "Stopping"} if kind.name == "Training" else {}
        job.set("Stopping", **secondary)
        job.stop.set()
        return {}

    def listed(request: Fields) -> Fields:
        rows = [_row(kind, fields) for fields in list(records(cloud).of(kind.resource).values())]
        return page(rows, request, f"{kind.name}JobSummaries")

    answer(f"Create{kind.name}Job", lambda request: create(cloud, kind, request))
    answer(f"Describe{kind.name}Job", find)
    answer(f"Stop{kind.name}Job", stop)
    answer(f"List{kind.name}Jobs", listed)


def _row(kind: Kind, fields: Fields) -> Fields:
    return {**fields, "Name": fields[f"{kind.name}JobName"], "Status": fields[f"{kind.name}JobStatus"]}


def create(cloud: Cloud, kind: Kind, request: Fields) -> Fields:
    """Make the job, which is about to start on a thread of its own, and answer with its ARN.

    Raises RefusedError for a request that is not covered, a role that SageMaker cannot assume, or a name in use."""
    role_arn, limit_s = kind.prepare(cloud, request)
    check_role(role_arn)
    name = request[f"{kind.name}JobName"]
    job_arn = arn(cloud, kind.resource, name)
    kept = records(cloud)
    # Looked for and added as one step: of two requests at once with one name, the second is refused.
    with kept.lock:
        if name in kept.of(kind.resource):
            said = f"job names must be unique within an AWS account and region, and a {kind.name.lower()} job with this"
            raise RefusedError("ResourceInUse", f"{kind.name} {said} name already exists ({job_arn})")
        fields = new_fields(cloud, request, f"{kind.name}JobArn", job_arn)
        fields |= {**kind.defaults, f"{kind.name}JobStatus": "InProgress", "LastModifiedTime": fields["CreationTime"]}
        kept.of(kind.resource)[name] = fields
    root = cloud.workspace / "jobs" / kind.name.lower() / name
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    cluster = _cluster(request)
    job = Job(
        cloud=cloud,
        kind=kind.name,
        fields=fields,
        root=root,
        role_arn=role_arn,
        limit_s=limit_s,
        memory_mb=min(jobs(cloud).most_mb, instance_mb(cluster.get("InstanceType", ""))),
        volume_bytes=volume_gb(cluster) * jobs(cloud).gb_bytes,
    )
    begin(job, lambda: kind.run(job))
    return {f"{kind.name}JobArn": job_arn}


def begin(job: Job, run: Callable[[], None]) -> None:
    """Enter the job, and run it on a thread of its own."""
    job_arn = job.fields[f"{job.kind}JobArn"]
    # The job is entered before its first event: who hears of it can stop it, or wait for its end.
    jobs(job.cloud).running[job_arn] = job
    jobs(job.cloud).ended[job_arn] = job.finished
    job.set("InProgress")
    job.cloud.background(f"{job.kind}-{job.name}", lambda: _live(job, run))


def _cluster(request: Fields) -> Fields:
    """The instances of a request of any kind of job."""
    resources: Fields | None = request.get("ResourceConfig") or request.get("TransformResources")
    return resources or request.get("ProcessingResources", {}).get("ClusterConfig", {})


@contextmanager
def _slot(job: Job) -> Iterator[None]:
    """Wait until this machine has room for the job, or until it is stopped."""
    slots = jobs(job.cloud).slots
    while not (has_room := slots.acquire(timeout=_POLL_S)) and not job.stop.is_set():
        continue
    try:
        yield
    finally:
        if has_room:
            slots.release()


def _live(job: Job, run: Callable[[], None]) -> None:
    """Live through the whole life of a job, on its thread. Whatever happens, the job ends with a terminal status."""
    started = job.cloud.clock.now()
    job.fields[f"{job.kind}StartTime"] = started
    try:
        if jobs(job.cloud).no_spot and job.fields.get("EnableManagedSpotTraining"):
            job.exceeded = "MaxWaitTimeExceeded"
            job.stop.set()
        else:
            with _slot(job):
                run()
        status, reason = "Completed", None
    except (JobError, MoveError, LookupError, ValueError) as error:
        status, reason = "Failed", str(error)
    except Exception as error:
        # An error of the local cloud itself must end the job too. Else the state machine would wait for ever.
        job.log.parent.mkdir(parents=True, exist_ok=True)
        with job.log.open("a") as log:
            log.write(traceback.format_exc())
        status, reason = "Failed", f"InternalServerError: {type(error).__name__}: {error}"
    # A job that somebody stopped has the status Stopped, whatever the exit code of its container.
    if job.stop.is_set():
        status, reason = "Stopped", None
    if job.cloud.stopping.is_set():
        return
    # In this order: the status and its event; then `running`, without which the cloud counts as idle; then `finished`,
    # for which `.sync` waits.
    _close(job, status, reason, started)
    jobs(job.cloud).running.pop(job.fields[f"{job.kind}JobArn"], None)
    job.finished.set()


def _close(job: Job, status: str, reason: str | None, started: datetime) -> None:
    now = job.cloud.clock.now()
    extra: Fields = {f"{job.kind}EndTime": now}
    if reason:
        extra["FailureReason"] = reason[:1024]
    if job.kind == "Training":
        seconds = max(1, round((now - started).total_seconds()))
        extra |= {"TrainingTimeInSeconds": seconds, "BillableTimeInSeconds": seconds}
        extra["SecondaryStatus"] = job.exceeded or status
    job.set(status, **extra)
