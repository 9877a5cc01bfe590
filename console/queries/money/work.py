"""The work of a workload that AWS bills, at list prices: jobs, functions, state machines.

All figures are estimates: the time that SageMaker and Lambda report, times the prices of `millrace.workload.prices`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import reduce
from itertools import takewhile
from operator import getitem
from typing import Any, Literal

from millrace.console.columns import column
from millrace.console.environment import Environment
from millrace.console.words import units
from millrace.names import WorkloadNames, hash_of_run
from millrace.workload.prices import PRICES, RATES, REGION_FACTOR, usd_per_hour

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
class CostLine:
    """One line of the table of costs: so many units of something, and their price."""

    what: str = column()
    """`endpoint`, `training`, `functions`, `storage`, …"""
    which: str = column(default="")
    """Of what exactly: instances, jobs, a run with its version."""
    count: float = column(units)
    unit: str = column()
    """`seconds`, `instance hours`, `GB`, …"""
    usd: float | None = column("{:,.4f}".format)
    """None if it has no known price."""
    since: datetime | None = column("{:%Y-%m-%d %H:%M}".format, default=None)
    """When it began; None if that is not within the period of the table."""
    billed: Literal["once", "monthly", "monthly with an endpoint", "monthly for all"] = column(default="once")
    """`once`: for work that was done. Else a month's price whether anything happens or not: `with an endpoint` for what
    a teardown of the endpoint removes, `for all` for what several workloads share."""
    reserved_usd: float | None = column("{:,.2f}".format, heading="at most", default=None)
    """What the budget counted when the run began: an upper bound with every job at its longest runtime."""
    source: str = ""
    """Where the price was read, and when."""


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


def by_price(*lines: CostLine) -> tuple[CostLine, ...]:
    """The lines, the most expensive first."""
    return tuple(sorted(lines, key=lambda line: -(line.usd or 0)))


def priced(what: str, count: float, unit: str, rate: str) -> CostLine:
    """The line for so many units at a price of RATES."""
    price = RATES[rate]
    return CostLine(what=what, count=count, unit=unit, usd=count * price.usd, source=f"{price.source}, {price.as_of}")


def find_jobs(environment: Environment, runs: Iterable[str], *, since: datetime) -> Iterator[Job]:
    """The ended jobs of the executions and tunings with these names, created after `since`.

    It takes one call for each job."""
    # A machine names its jobs `<hash of the execution's name>-…`.
    digests = {hash_of_run(run): run for run in runs}
    for kind in JOBS if digests else ():
        for name in _job_names(environment, kind, since):
            # A training of a tuning is named `<tuning>-<number>-<digest>`.
            of_tuning = (run for run in digests.values() if name.startswith(f"{run}-"))
            run = digests.get(name.partition("-")[0]) or next(of_tuning, None)
            if run and (job := _ended(environment.client("sagemaker"), kind, name, run)):
                yield job


def _job_names(environment: Environment, kind: JobKind, since: datetime) -> Iterator[str]:
    """The names of all jobs of the account that were created after `since`, the newest first."""
    newest_first = {"SortBy": "CreationTime", "SortOrder": "Descending"}
    listed = environment.listed("sagemaker", f"list_{kind}_jobs", f"{kind.title()}JobSummaries", **newest_first)
    recent = takewhile(lambda summary: summary["CreationTime"] >= since, listed)
    return (summary[f"{kind.title()}JobName"] for summary in recent)


def _ended(sagemaker: Any, kind: JobKind, name: str, run: str) -> Job | None:
    """The job; None if it has not ended."""
    cluster, start, end = JOBS[kind]
    described = getattr(sagemaker, f"describe_{kind}_job")(**{f"{kind.title()}JobName": name})
    if start not in described or end not in described:
        return None
    resources = reduce(getitem, cluster, described)
    # Only a training job says what is billed: with spot instances that is less than its time.
    billed_s = described.get("BillableTimeInSeconds", (described[end] - described[start]).total_seconds())
    instance, count = resources["InstanceType"], resources["InstanceCount"]
    return Job(run=run, kind=kind, instance=instance, billed_s=billed_s * count)


def job_lines(jobs: Iterable[Job], *, what: str = "") -> Iterator[CostLine]:
    """One line for each kind of job and instance type; all are called `what` if that is given."""
    groups: dict[tuple[JobKind, str], list[Job]] = defaultdict(list)
    for job in jobs:
        groups[job.kind, job.instance].append(job)
    for (kind, instance), alike in groups.items():
        yield CostLine(
            what=what or kind,
            which=f"{len(alike)} job{'s' if len(alike) > 1 else ''} on {instance}",
            count=sum(job.billed_s for job in alike),
            unit="seconds",
            usd=sum(job.usd for job in alike),
            source=source_of(instance),
        )


def source_of(instance: str) -> str:
    """Where the instance's price was read. Its price was looked up before, which raises an error if there is none."""
    price = next(price for price in PRICES if price.instance == instance)
    return f"{price.source}; times {REGION_FACTOR} for the most expensive region; {price.as_of}"


def function_lines(
    environment: Environment, names: WorkloadNames, first: datetime, now: datetime
) -> tuple[CostLine, ...]:
    """Calls and GB-seconds of the workload's functions from `first` to `now`, by Lambda's metrics."""
    listed = environment.listed("lambda", "list_functions", "Functions")
    memory_gb = {
        each["FunctionName"]: each["MemorySize"] / 1024
        for each in listed
        if each["FunctionName"].startswith(f"{names.prefix}-")
    }
    sums = _daily_sums(environment, list(memory_gb), max(first, now - timedelta(days=MOST_DAYS)), now)
    # A function that was never called has no metric.
    calls = sum(sums.get((name, "Invocations"), 0.0) for name in memory_gb)
    gb_s = sum(sums.get((name, "Duration"), 0.0) / 1000 * gb for name, gb in memory_gb.items())
    return (
        priced("functions", gb_s, "GB-seconds", "lambda GB second"),
        priced("functions", calls, "calls", "lambda call"),
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
