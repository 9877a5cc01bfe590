"""What AWS bills at list prices: jobs, functions, state machines and the endpoint, and what a month costs anyway.

All figures are estimates: the time that SageMaker and Lambda report, times the prices of `millrace.workload.prices`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import reduce
from itertools import islice, takewhile
from operator import getitem
from typing import Any, Literal

from botocore.exceptions import ClientError

from millrace.aws.endpoints import find_endpoint
from millrace.aws.objects import entries_below
from millrace.console.environment import Environment
from millrace.console.words import column, units
from millrace.names import LIVE, WorkloadNames, hash_of_run
from millrace.operations.alarms import USD_PER_COMPOSITE, USD_PER_METRIC
from millrace.workload.prices import RATES, REGION_FACTOR, price_of, usd_per_hour
from millrace.workload.schedule import MONTH_HOURS

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
    runs: int = 0
    """The jobs, executions or calls whose units these are; 0 for what is billed by time."""
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
            runs=len(alike),
            usd=sum(job.usd for job in alike),
            source=source_of(instance),
        )


def source_of(instance: str) -> str:
    """Where the instance's price was read. Raises ConfigurationError for a type without a price."""
    price = price_of(instance)
    return f"{price.source}; times {REGION_FACTOR} for the most expensive region; {price.as_of}"


def function_lines(
    environment: Environment, names: WorkloadNames, first: datetime, now: datetime
) -> tuple[CostLine, ...]:
    """Calls and GB-seconds from `first` to `now` by Lambda's metrics: of the prediction function, and of all others."""
    listed = environment.listed("lambda", "list_functions", "Functions")
    memory_gb = {
        each["FunctionName"]: each["MemorySize"] / 1024
        for each in listed
        if each["FunctionName"].startswith(f"{names.prefix}-")
    }
    sums = _daily_sums(environment, list(memory_gb), max(first, now - timedelta(days=MOST_DAYS)), now)
    lines, prediction = list[CostLine](), names.function("prediction")
    for what, own in (("predictions", memory_gb.keys() & {prediction}), ("functions", memory_gb.keys() - {prediction})):
        # A function that was never called has no metric.
        calls = sum(sums.get((name, "Invocations"), 0.0) for name in own)
        gb_s = sum(sums.get((name, "Duration"), 0.0) / 1000 * memory_gb[name] for name in own)
        found = (priced(what, gb_s, "GB-seconds", "lambda GB second"), priced(what, calls, "calls", "lambda call"))
        lines += [replace(line, runs=round(calls)) for line in found if calls]
    return tuple(lines)


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


def sums(environment: Environment, span: tuple[datetime, datetime], **metric: Any) -> Mapping[datetime, float]:
    """The sums of a metric by the start of each period that has data. `metric` is as GetMetricStatistics takes it."""
    given = metric | {"StartTime": span[0], "EndTime": span[1], "Statistics": ["Sum"]}
    answer = environment.client("cloudwatch").get_metric_statistics(**given)
    return {point["Timestamp"]: point["Sum"] for point in answer["Datapoints"]}


def _query(query_id: str, metric: str, function: str) -> dict[str, Any]:
    dimensions = [{"Name": "FunctionName", "Value": function}]
    named = {"Namespace": "AWS/Lambda", "MetricName": metric, "Dimensions": dimensions}
    return {"Id": query_id, "MetricStat": {"Metric": named, "Period": DAY_S, "Stat": "Sum"}}


BUCKETS = ("landing", "lake", "artefacts")
"""The buckets in which each workload has a folder of its name."""
MOST_OBJECTS = 200_000
"""If a bucket has more objects, the size is not known. One call lists a thousand."""
FREE_DASHBOARDS = 3
"""How many dashboards an account has free."""
POLLERS, POLL_S, MONTH_S = 5, 20, 30 * 24 * 3600
"""Lambda reads an empty queue with five long polls of 20 seconds at once.

https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html"""
STANDING: Mapping[str, tuple[str, str, float]] = {
    "polled": ("queues that functions poll", "queues", POLLERS * MONTH_S / POLL_S * RATES["queue request"].usd),
    "metrics": ("alarms", "metrics", USD_PER_METRIC),
    "composites": ("composite alarms", "alarms", USD_PER_COMPOSITE),
    "provisioned": (
        "prediction function kept ready",
        "GB of provisioned",
        MONTH_S * RATES["lambda provisioned GB second"].usd,
    ),
    "dashboards": ("dashboard beyond three of the account", "dashboards", RATES["dashboard month"].usd),
    "scaling": ("alarms of the scaling", "metrics", USD_PER_METRIC),
    "streams": ("stream of rows", "streams", MONTH_HOURS * RATES["stream hour"].usd),
    "keys": ("keys of the stage", "keys", RATES["key month"].usd),
}
"""What is billed by the month: how its line calls it, its unit, and the US dollars of one a month."""


def find_monthly(environment: Environment, names: WorkloadNames) -> tuple[CostLine, ...]:
    """What a month costs anyway, as far as it is above 0, for what is deployed now.

    The stage's key and alarms belong to no workload."""
    return (*storage_lines(environment, names), *find_standing(environment, names))


def storage_lines(environment: Environment, names: WorkloadNames) -> tuple[CostLine, ...]:
    """What is stored now, without replaced versions. Empty if it cannot be listed, or if a bucket has more than
    MOST_OBJECTS objects."""
    s3, sizes = environment.client("s3"), list[int]()
    for purpose in BUCKETS:
        entries = entries_below(s3, names.platform.bucket(purpose), f"{names.workload}/")
        try:
            own = [entry["Size"] for entry in islice(entries, MOST_OBJECTS + 1)]
        except ClientError:
            return ()
        if len(own) > MOST_OBJECTS:
            return ()
        sizes += own
    line = priced("storage", sum(sizes) / 1e9, "GB", "stored GB month")
    return (replace(line, which=f"{len(sizes):,} objects", billed="monthly"),)


def find_standing(environment: Environment, names: WorkloadNames) -> tuple[CostLine, ...]:
    """The resources of the workload that are billed by the month."""
    alarms = [
        (kind, alarm["AlarmName"].startswith(names.scaling_alarms), alarm)
        for prefix in (f"{names.prefix}-", names.scaling_alarms)
        for kind in ("MetricAlarm", "CompositeAlarm")
        for alarm in environment.listed(
            "cloudwatch", "describe_alarms", f"{kind}s", AlarmNamePrefix=prefix, AlarmTypes=[kind]
        )
    ]
    metrics = [(is_scaling, metrics_of(alarm)) for kind, is_scaling, alarm in alarms if kind == "MetricAlarm"]
    listed = environment.listed("cloudwatch", "list_dashboards", "DashboardEntries")
    boards = [entry["DashboardName"] for entry in listed]
    mappings = environment.listed("lambda", "list_event_source_mappings", "EventSourceMappings")
    own = [one for one in mappings if f":function:{names.prefix}-" in one["FunctionArn"]]
    counts = {
        "metrics": sum(number for is_scaling, number in metrics if not is_scaling),
        "scaling": sum(number for is_scaling, number in metrics if is_scaling),
        "composites": len(alarms) - len(metrics),
        # The dashboards that are not free, shared evenly among all.
        "dashboards": max(0, len(boards) - FREE_DASHBOARDS) / len(boards) if names.dashboard in boards else 0,
        "polled": sum(mapping.get("State") != "Disabled" for mapping in own),
    }
    return standing({**counts, **find_ready(environment.client("lambda"), names)})


def find_ready(client: Any, names: WorkloadNames) -> Mapping[str, float]:
    """The GB of memory that Lambda keeps ready for the alias of the prediction function, `provisioned`; empty for none.

    `client` is boto3's Lambda client."""
    alias, errors = {"FunctionName": names.function("prediction"), "Qualifier": LIVE}, client.exceptions
    try:
        gb = client.get_function_configuration(**alias)["MemorySize"] / 1024
        kept = client.get_provisioned_concurrency_config(**alias)["RequestedProvisionedConcurrentExecutions"]
    except (errors.ResourceNotFoundException, errors.ProvisionedConcurrencyConfigNotFoundException):
        return {}
    return {"provisioned": kept * gb}


def standing(counts: Mapping[str, float]) -> tuple[CostLine, ...]:
    """The lines for that many of each resource of STANDING.

    `metrics` are those that alarms of the stacks read, `scaling` those of the alarms by which target tracking scales
    the endpoint, `dashboards` the workload's share of the account's dashboards beyond the free ones."""
    return tuple(
        CostLine(
            what=what,
            count=number,
            unit=unit,
            usd=number * usd,
            billed="monthly with an endpoint"
            if name == "scaling"
            else "monthly for all"
            if name == "keys"
            else "monthly",
        )
        for name, (what, unit, usd) in STANDING.items()
        if (number := counts.get(name, 0))
    )


def metrics_of(alarm: Mapping[str, Any]) -> int:
    """How many metrics an alarm reads, as the API or a template describes it."""
    queries: Iterable[Mapping[str, Any]] = alarm.get("Metrics") or ()
    # An alarm on one metric has no list of queries.
    return sum("MetricStat" in query for query in queries) or 1


HOUR = timedelta(hours=1)


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


def endpoint_lines(fleet: Fleet | None, first: datetime, end: datetime) -> tuple[CostLine, ...]:
    """The endpoint from `first`, or from its creation, to `end`, as if it had always had its present instances.

    Empty without an endpoint, or if it was made after `end`. What an endpoint before it cost is not known here."""
    if fleet is None or (hours := (end - max(first, fleet.created)) / HOUR) <= 0:
        return ()
    line = CostLine(
        what="endpoint",
        which=f"{fleet.count} × {fleet.instance}",
        count=fleet.count * hours,
        unit="instance hours",
        usd=fleet.usd_per_hour * hours,
        since=fleet.created if fleet.created > first else None,
        source=source_of(fleet.instance),
    )
    return (line,)
