"""What a month cost: its training runs, the endpoint, a thousand predictions, against the budget.

Nothing here is a bill. `reserved` is what the budget counts, every job at its longest, an upper bound; `estimated` is
what SageMaker says it billed in seconds, times the list prices of millrace/workload/prices.py for the dearest region.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from botocore.exceptions import ClientError

from console.environment import Environment
from console.local_cloud.local_cloud import LocalCloud
from console.queries.decisions import find_days, size_of_decisions
from console.queries.versions import registry_of, state_of
from millrace.aws.errors import could_not_find
from millrace.aws.objects import read_object
from millrace.errors import EnvironmentNotFoundError
from millrace.names import WorkloadNames
from millrace.timestamps import moment, next_month
from millrace.workload.declaration import Workload, read_workload
from millrace.workload.prices import projected_usd, usd_per_hour
from millrace.workload.training_cost import usages

MOST_BYTES = 256 * 2**20
"""Of a month's decisions that are read to count them; beyond, the price of a thousand is not told."""


@dataclass(frozen=True, kw_only=True)
class RunCost:
    """One training run."""

    run: str
    """Name of the train execution."""
    version: str | None
    """The model version that it registered."""
    jobs: int
    billed_s: float
    """Seconds that SageMaker billed, over all its jobs and instances."""
    estimated_usd: float
    reserved_usd: float | None
    """None where the run never got as far as its declaration."""


@dataclass(frozen=True, kw_only=True)
class ServingCost:
    """The live endpoint in the month, up to now: an estimate, as if it always had the instances that it has now."""

    instance: str
    count: int
    hours: float
    usd: float
    predictions: int | None
    """About days of the month; None where there are too many to count here."""

    @property
    def usd_per_1000(self) -> float | None:
        return self.usd / self.predictions * 1000 if self.predictions else None


@dataclass(frozen=True, kw_only=True)
class MonthCost:
    """One month (UTC)."""

    month: str
    budget_usd: float
    reserved_usd: float
    runs: tuple[RunCost, ...]
    serving: ServingCost | None
    """None where no endpoint stood in this month."""


def find_cost(environment: Environment, names: WorkloadNames, workload: Workload, *, month: str = "") -> MonthCost:
    """The month's cost; without a month the last one in which a run was reserved, else this one.

    Raises EnvironmentNotFoundError for a month that is none."""
    spends = state_of(environment, names).spends()
    now = now_at(environment)
    wanted = month or max(spends, default=f"{now:%Y-%m}")
    first = _first_of(wanted)
    versions = {package.metadata.get("run", ""): package.version for package in registry_of(environment, names).all()}
    spent = spends.get(wanted)
    return MonthCost(
        month=wanted,
        budget_usd=workload.budget.monthly_usd,
        reserved_usd=float(spent.usd) if spent else 0.0,
        runs=tuple(_run(environment, names, arn, versions) for arn in (spent.runs if spent else ())),
        serving=_serving(environment, names, first, now),
    )


def now_at(environment: Environment) -> datetime:
    """The environment's own time: the local cloud's can be moved."""
    if environment.platform.stage == "local":
        return LocalCloud(endpoint_url=environment.client("s3").meta.endpoint_url).now()
    return datetime.now(UTC)


def _first_of(month: str) -> datetime:
    try:
        return moment(f"{month}-01")
    except ValueError:
        raise EnvironmentNotFoundError(f"--month: expected a month as 1997-06, got {month!r}") from None


def _run(environment: Environment, names: WorkloadNames, arn: str, versions: Mapping[str, str]) -> RunCost:
    name = arn.rpartition(":")[2]
    billed = list(_jobs_of(environment.client("sagemaker"), name))
    return RunCost(
        run=name,
        version=versions.get(name),
        jobs=len(billed),
        billed_s=sum(seconds for _, seconds in billed),
        estimated_usd=sum(usd_per_hour(instance) * seconds / 3600 for instance, seconds in billed),
        reserved_usd=_reserved(environment, names, name),
    )


def _jobs_of(sagemaker: Any, run: str) -> Iterator[tuple[str, float]]:
    """Instance and billed seconds (times instances) of the run's jobs that have ended."""
    named = hashlib.sha1(run.encode(), usedforsecurity=False).hexdigest()  # as the machine names its jobs
    for each in sagemaker.list_training_jobs(NameContains=named)["TrainingJobSummaries"]:
        said = sagemaker.describe_training_job(TrainingJobName=each["TrainingJobName"])
        cluster, span = said["ResourceConfig"], _span(said, "TrainingStartTime", "TrainingEndTime")
        yield cluster["InstanceType"], said.get("BillableTimeInSeconds", span) * cluster["InstanceCount"]
    for each in sagemaker.list_processing_jobs(NameContains=named)["ProcessingJobSummaries"]:
        said = sagemaker.describe_processing_job(ProcessingJobName=each["ProcessingJobName"])
        cluster = said["ProcessingResources"]["ClusterConfig"]
        yield (
            cluster["InstanceType"],
            _span(said, "ProcessingStartTime", "ProcessingEndTime") * cluster["InstanceCount"],
        )


def _span(said: Mapping[str, Any], start: str, end: str) -> float:
    """Seconds; none of a job that has not started or not ended."""
    return (said[end] - said[start]).total_seconds() if start in said and end in said else 0.0


def _reserved(environment: Environment, names: WorkloadNames, run: str) -> float | None:
    """By the run's own declaration."""
    client = environment.client("s3")
    try:
        content = read_object(client, names.run_uri(run, "config", "workload.yaml"))
    except client.exceptions.NoSuchKey:
        return None
    with TemporaryDirectory() as folder:
        path = Path(folder) / "workload.yaml"
        path.write_bytes(content)
        return projected_usd(usages(read_workload(path), names.platform.stage))


def _serving(environment: Environment, names: WorkloadNames, first: datetime, now: datetime) -> ServingCost | None:
    sagemaker, end = environment.client("sagemaker"), min(now, next_month(first))
    try:
        said = sagemaker.describe_endpoint(EndpointName=names.endpoint)
    except ClientError as error:
        if could_not_find(error):
            return None
        raise
    hours = (end - max(first, said["CreationTime"])).total_seconds() / 3600
    if hours <= 0:
        return None
    config = sagemaker.describe_endpoint_config(EndpointConfigName=said["EndpointConfigName"])
    instance = config["ProductionVariants"][0]["InstanceType"]
    count = sum(variant["CurrentInstanceCount"] for variant in said["ProductionVariants"])
    return ServingCost(
        instance=instance,
        count=count,
        hours=hours,
        usd=usd_per_hour(instance) * count * hours,
        predictions=_predictions(environment, names, first),
    )


def _predictions(environment: Environment, names: WorkloadNames, first: datetime) -> int | None:
    last = next_month(first).date().fromordinal(next_month(first).date().toordinal() - 1)
    if size_of_decisions(environment, names, f"{first:%Y-%m}") > MOST_BYTES:
        return None
    return sum(len(day.decisions) for day in find_days(environment, names, first=first.date(), last=last))
