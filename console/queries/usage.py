"""The work of a workload that AWS bills, at list prices: jobs, the live endpoint, functions, state machines.

All figures are estimates: the time that SageMaker and Lambda report, times the prices of millrace/workload/prices.py
and of the table below. What every account has free is not taken off."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from console.environment import Environment
from console.queries.executions import Execution
from millrace.aws.endpoints import find_endpoint
from millrace.names import WorkloadNames, hash_of_run
from millrace.workload.prices import PRICES, REGION_FACTOR, usd_per_hour

MOST_DAYS = 366
"""The longest period of a query, in days. GetMetricData returns at most 100,800 points per call; a metric has one a
day."""
DAY_S = 86_400

JobKind = Literal["training", "processing", "transform"]
JOBS: Mapping[JobKind, tuple[tuple[str, ...], str, str]] = {
    "training": (("ResourceConfig",), "TrainingStartTime", "TrainingEndTime"),
    "processing": (("ProcessingResources", "ClusterConfig"), "ProcessingStartTime", "ProcessingEndTime"),
    "transform": (("TransformResources",), "TransformStartTime", "TransformEndTime"),
}
"""Where the description of a job has its instances, its start and its end."""


@dataclass(frozen=True, kw_only=True)
class Rate:
    """The price of one unit, its source, and the date on which it was read."""

    usd: float
    source: str
    as_of: str


LAMBDA_REQUEST = Rate(usd=0.20 / 1e6, source="aws.amazon.com/lambda/pricing, eu-west-1, Arm", as_of="2026-11-20")
LAMBDA_GB_S = Rate(usd=0.0000133334, source="aws.amazon.com/lambda/pricing, eu-west-1, Arm", as_of="2026-11-20")
TRANSITION = Rate(usd=0.025 / 1e3, source="aws.amazon.com/step-functions/pricing, eu-west-1", as_of="2026-11-20")


@dataclass(frozen=True, kw_only=True)
class Job:
    """One SageMaker job that has ended."""

    run: str
    """The name of the execution that started it, or of the job that a person started."""
    kind: JobKind
    instance: str
    billed_s: float
    """Billed seconds times instances."""

    @property
    def usd(self) -> float:
        return usd_per_hour(self.instance) * self.billed_s / 3600


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """The instances of the live endpoint."""

    instance: str
    count: int
    created: datetime
    """When the endpoint was made; updates do not change it."""

    @property
    def usd_per_hour(self) -> float:
        return usd_per_hour(self.instance) * self.count


@dataclass(frozen=True, kw_only=True)
class ServingCost:
    """The cost of the live endpoint in a period, as if it had always had its present instances."""

    instance: str
    count: int
    hours: float
    usd: float
    since: datetime | None
    """When the endpoint was made, if that is within the period. What an endpoint before it cost is not known here."""
    predictions: int | None = None
    """How many predictions there were about days of the month; None if they were not counted."""

    @property
    def usd_per_1000(self) -> float | None:
        return self.usd / self.predictions * 1000 if self.predictions else None


@dataclass(frozen=True, kw_only=True)
class CostLine:
    """One kind of work over the whole time of the given executions."""

    what: Literal["endpoint", "training", "processing", "transform", "functions", "state machines", "storage"]
    instance: str
    """The instance type; empty if there is none."""
    count: int
    """A number of instances of the endpoint, jobs, calls of functions, transitions between states, or objects."""
    amount: float
    """Hours of the endpoint, seconds of jobs, GB-seconds of functions, or stored GB. 0 for state machines."""
    usd: float
    source: str
    """Where the price was read, and when."""


def find_usage(environment: Environment, names: WorkloadNames, runs: Sequence[Execution]) -> tuple[CostLine, ...]:
    """One line for each kind of work since the first of the executions began, the most expensive first."""
    if not runs:
        return ()
    first, now = min(run.started for run in runs), now_at(environment)
    serving = serving_cost(environment, names, first, now)
    lines = [
        *([_endpoint_line(serving)] if serving else []),
        *job_lines(jobs_of(environment, JOBS, [run.name for run in runs], since=first)),
        function_line(environment, names, first, now),
        _transition_line(sum(run.transitions for run in runs)),
    ]
    return tuple(sorted(lines, key=lambda line: -line.usd))


def now_at(environment: Environment) -> datetime:
    """The environment's own time: the clock of a local cloud can be moved."""
    return environment.cloud.now() if environment.cloud else datetime.now(UTC)


def jobs_of(
    environment: Environment, kinds: Iterable[JobKind], runs: Iterable[str], *, since: datetime
) -> Iterator[Job]:
    """The ended jobs of the executions, experiments and tunings with these names, created after `since`.

    It takes one call for each job."""
    sagemaker = environment.client("sagemaker")
    # A machine names its jobs `<hash of the execution's name>-…`.
    digests = {hash_of_run(run): run for run in runs}
    for kind in kinds:
        cluster, start, end = JOBS[kind]
        for name in _job_names(sagemaker, kind, since) if digests else ():
            run = digests.get(name.partition("-")[0]) or _by_hand(name, digests.values())
            described = getattr(sagemaker, f"describe_{kind}_job")(**{f"{kind.title()}JobName": name}) if run else {}
            if run is None or start not in described or end not in described:
                continue
            # `cluster` is the path to the instances in the description.
            resources = described
            for key in cluster:
                resources = resources[key]
            # Only a training job says what is billed: with spot instances that is less than its time.
            billed_s = described.get("BillableTimeInSeconds", (described[end] - described[start]).total_seconds())
            yield Job(
                run=run,
                kind=kind,
                instance=resources["InstanceType"],
                billed_s=billed_s * resources["InstanceCount"],
            )


def _by_hand(job: str, runs: Iterable[str]) -> str | None:
    """The experiment or tuning that the job belongs to. A tuning's training is named `<tuning>-<number>-<digest>`."""
    return next((run for run in runs if job == run or job.startswith(f"{run}-")), None)


def _job_names(sagemaker: Any, kind: JobKind, since: datetime) -> Iterator[str]:
    """The names of all jobs of the account that were created after `since`, the newest first."""
    pages = sagemaker.get_paginator(f"list_{kind}_jobs").paginate(SortBy="CreationTime", SortOrder="Descending")
    for page in pages:
        for summary in page[f"{kind.title()}JobSummaries"]:
            # Newest first, so all jobs after this one are older still.
            if summary["CreationTime"] < since:
                return
            yield summary[f"{kind.title()}JobName"]


def live_fleet(environment: Environment, names: WorkloadNames) -> Fleet | None:
    """The instances of the live endpoint; None if there is none."""
    sagemaker = environment.client("sagemaker")
    described = find_endpoint(sagemaker, names.endpoint)
    if described is None:
        return None
    config = sagemaker.describe_endpoint_config(EndpointConfigName=described["EndpointConfigName"])
    return Fleet(
        instance=config["ProductionVariants"][0]["InstanceType"],
        count=sum(variant["CurrentInstanceCount"] for variant in described["ProductionVariants"]),
        created=described["CreationTime"],
    )


def serving_cost(environment: Environment, names: WorkloadNames, first: datetime, end: datetime) -> ServingCost | None:
    """The cost of the endpoint from `first`, or from its creation, to `end`.

    None if the endpoint does not exist, or if it was made after `end`."""
    fleet = live_fleet(environment, names)
    hours = (end - max(first, fleet.created)).total_seconds() / 3600 if fleet else 0
    if fleet is None or hours <= 0:
        return None
    return ServingCost(
        instance=fleet.instance,
        count=fleet.count,
        hours=hours,
        usd=fleet.usd_per_hour * hours,
        since=fleet.created if fleet.created > first else None,
    )


def _endpoint_line(serving: ServingCost) -> CostLine:
    return CostLine(
        what="endpoint",
        instance=serving.instance,
        count=serving.count,
        amount=serving.hours,
        usd=serving.usd,
        source=_instance_source(serving.instance),
    )


def job_lines(jobs: Iterable[Job]) -> Iterator[CostLine]:
    """One line for each kind of job and instance type."""
    groups: dict[tuple[JobKind, str], list[Job]] = defaultdict(list)
    for job in jobs:
        groups[job.kind, job.instance].append(job)
    for (kind, instance), alike in groups.items():
        yield _job_line(kind, instance, alike)


def _job_line(kind: JobKind, instance: str, jobs: Sequence[Job]) -> CostLine:
    return CostLine(
        what=kind,
        instance=instance,
        count=len(jobs),
        amount=sum(job.billed_s for job in jobs),
        usd=sum(job.usd for job in jobs),
        source=_instance_source(instance),
    )


def _instance_source(instance: str) -> str:
    """Where the instance's price was read. Its price was looked up before, which raises an error if there is none."""
    price = next(price for price in PRICES if price.instance == instance)
    return f"{price.source}; times {REGION_FACTOR} for the most expensive region; {price.as_of}"


def _transition_line(count: int) -> CostLine:
    source = f"{TRANSITION.source}, {TRANSITION.as_of}"
    return CostLine(
        what="state machines", instance="", count=count, amount=0, usd=count * TRANSITION.usd, source=source
    )


def function_line(environment: Environment, names: WorkloadNames, first: datetime, now: datetime) -> CostLine:
    """Calls and GB-seconds of the workload's functions from `first` to `now`, by Lambda's metrics."""
    pages = environment.client("lambda").get_paginator("list_functions").paginate()
    listed = [each for page in pages for each in page["Functions"]]
    memory_gb = {
        each["FunctionName"]: each["MemorySize"] / 1024
        for each in listed
        if each["FunctionName"].startswith(f"{names.prefix}-")
    }
    sums = _daily_sums(environment, list(memory_gb), max(first, now - timedelta(days=MOST_DAYS)), now)
    # A function that was never called has no metric.
    calls = sum(sums.get((name, "Invocations"), 0.0) for name in memory_gb)
    gb_s = sum(sums.get((name, "Duration"), 0.0) / 1000 * gb for name, gb in memory_gb.items())
    return CostLine(
        what="functions",
        instance="",
        count=int(calls),
        amount=gb_s,
        usd=calls * LAMBDA_REQUEST.usd + gb_s * LAMBDA_GB_S.usd,
        source=f"{LAMBDA_GB_S.source}, {LAMBDA_GB_S.as_of}",
    )


def _daily_sums(
    environment: Environment, functions: Sequence[str], first: datetime, now: datetime
) -> dict[tuple[str, str], float]:
    """The sum from `first` to `now` by function and metric: `Invocations`, or `Duration` in milliseconds."""
    wanted = [(name, metric) for name in functions for metric in ("Invocations", "Duration")]
    queries = [_query(f"q{number}", metric, name) for number, (name, metric) in enumerate(wanted)]
    if not queries:
        return {}
    # The metric's points are whole days, so the period begins at midnight.
    midnight = first.replace(hour=0, minute=0, second=0, microsecond=0)
    answer = environment.client("cloudwatch").get_metric_data(
        MetricDataQueries=queries, StartTime=midnight, EndTime=now + timedelta(days=1)
    )
    return {wanted[int(each["Id"][1:])]: sum(each["Values"]) for each in answer["MetricDataResults"]}


def _query(query_id: str, metric: str, function: str) -> dict[str, Any]:
    dimensions = [{"Name": "FunctionName", "Value": function}]
    named = {"Namespace": "AWS/Lambda", "MetricName": metric, "Dimensions": dimensions}
    return {"Id": query_id, "MetricStat": {"Metric": named, "Period": DAY_S, "Stat": "Sum"}}
