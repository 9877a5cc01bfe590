"""One table of what a workload costs: a month's work, the endpoint, what is stored, and what is billed while nothing
happens.

All figures are estimates at list prices, not bills. Runs are estimated by the time that SageMaker reports as billed."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice, takewhile
from typing import Any

from botocore.exceptions import ClientError

from console.environment import Environment
from console.queries.executions import list_executions
from console.queries.gain import gain_of
from console.queries.idle import IdleEndpoint, find_idle
from console.queries.query import price
from console.queries.sleeps import awake_lines, sleeps_of
from console.queries.usage import (
    HOURS_PER_MONTH,
    JOBS,
    CostLine,
    Job,
    by_price,
    endpoint_lines,
    function_lines,
    job_lines,
    jobs_of,
    live_fleet,
    priced,
)
from console.queries.utilisation import (
    Traffic,
    Utilisation,
    advise,
    advise_callers,
    find_traffic,
    find_utilisation,
)
from console.queries.versions import audit_of, read_evaluation, registry_of, state_of
from console.words import count
from millrace.aws.objects import entries_below
from millrace.errors import EnvironmentNotFoundError
from millrace.names import LIVE, QUERY, WorkloadNames
from millrace.operations.alarms import USD_PER_COMPOSITE, USD_PER_METRIC
from millrace.state.budget import MonthlyBudget
from millrace.timestamps import next_month, parse_utc
from millrace.workload.declaration import Workload
from millrace.workload.prices import RATES

BESIDE = ("monitor", "score")
"""The machines with jobs, beside `train`, whose runs a budget counts, and `release`, whose jobs are preflights."""
BUCKETS = ("landing", "lake", "artefacts")
"""The buckets in which each workload has a folder of its name."""
MOST_OBJECTS = 200_000
"""If a bucket has more objects, the size is not known. One call lists a thousand."""
FREE_DASHBOARDS = 3
"""How many dashboards an account has free."""
POLLERS, POLL_S, MONTH_S = 5, 20, 30 * 24 * 3600
"""Lambda reads an empty queue with five long polls of 20 seconds at once.

https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html"""


@dataclass(frozen=True, kw_only=True)
class MonthCost:
    """The cost of one month (UTC)."""

    month: str
    """`1997-06`."""
    budget_usd: float
    reserved_usd: float
    """The sum that the month's runs have reserved."""
    lines: tuple[CostLine, ...]
    """What the month's work cost, the most expensive first; then what a month costs while nothing happens."""
    traffic: Traffic | None
    """The predictions about days of the month; None if they are too many bytes to count."""
    idle: IdleEndpoint | None
    use: Utilisation | None = None
    """None without a live endpoint in the month."""
    advice: tuple[str, ...] = ()
    """What would cost less."""
    gains: tuple[str, ...] = ()
    """What each version that was trained in the month brought."""
    slept_hours: float = 0.0
    """The hours of the month in which the endpoint was stopped, since nobody asked it."""
    saved_usd: float = 0.0
    """What its instances would have cost in them."""

    @property
    def usd_per_1000(self) -> float | None:
        """The endpoint's price of a thousand predictions; None if either is not known."""
        return self._per_1000(sum(line.usd or 0 for line in self.lines if line.what == "endpoint"))

    @property
    def usd_of_all_per_1000(self) -> float | None:
        """The same of all lines but those that are shared with other workloads."""
        return self._per_1000(self.sum("once", "monthly", "monthly with an endpoint")) if self.usd_per_1000 else None

    def _per_1000(self, usd: float) -> float | None:
        return usd / self.traffic.predictions * 1000 if usd and self.traffic and self.traffic.predictions else None

    def sum(self, *billed: str) -> float:
        """The sum of the lines that are billed like this."""
        return sum(line.usd or 0 for line in self.lines if line.billed in billed)


def find_cost(environment: Environment, names: WorkloadNames, workload: Workload, *, month: str = "") -> MonthCost:
    """The cost of the month (yyyy-mm). Without a month it is the last one in which a run has reserved budget, else the
    present month.

    Raises EnvironmentNotFoundError if the text is not a month."""
    spends = MonthlyBudget(state_of(environment, names)).months()
    now = environment.now()
    wanted = month or max(spends, default=f"{now:%Y-%m}")
    first = _first_of(wanted)
    spent = spends.get(wanted)
    runs = {_name(arn): float(usd) for arn, usd in (spent.runs if spent else {}).items()}
    releases = _begun(environment, names, "release", first)
    beside = {name for machine in BESIDE for name in _begun(environment, names, machine, first)}
    jobs = list(jobs_of(environment, JOBS, [*runs, *releases, *beside], since=first))
    # The month may not be over yet.
    end, records = min(now, next_month(first)), audit_of(environment, names)
    sleeps = sleeps_of(records, first, end)
    work = by_price(
        *_training_lines(environment, names, runs, jobs),
        *job_lines((job for job in jobs if job.run in releases), what="preflight"),
        *job_lines(job for job in jobs if job.run in beside),
        *(awake_lines(records, first, end) or endpoint_lines(environment, names, first, end)),
        *(query_lines(environment, names, first) if workload.queries else ()),
        # `function_lines` reads up to one day after the moment that it is given.
        *function_lines(environment, names, first, end - timedelta(days=1)),
    )
    traffic, fleet = find_traffic(environment, names, first, workload.prediction), live_fleet(environment, names)
    usd = {what: sum(line.usd or 0 for line in work if line.what == what) for what in ("endpoint", "functions")}
    stood = next((line.count for line in work if line.what == "endpoint"), 0)
    use = (
        find_utilisation(environment, names, first, end, fleet=fleet, instance_hours=stood) if fleet and stood else None
    )
    advice = (
        *(advise(workload, names.platform.stage, fleet, use, hosting=_hosting(environment)) if fleet and use else ()),
        *(advise_callers(traffic, endpoint_usd=usd["endpoint"], functions_usd=usd["functions"]) if traffic else ()),
    )
    return MonthCost(
        month=wanted,
        budget_usd=workload.budget.monthly_usd,
        reserved_usd=float(spent.usd) if spent else 0.0,
        lines=(*work, *find_monthly(environment, names)),
        traffic=traffic,
        use=use,
        advice=advice,
        gains=tuple(_gains(environment, names, work, workload)),
        idle=find_idle(environment, names, fleet),
        slept_hours=sum(one.hours for one in sleeps),
        saved_usd=sum(one.usd for one in sleeps),
    )


def _first_of(month: str) -> datetime:
    """The first moment of the month, UTC. Raises EnvironmentNotFoundError if the text is not a month."""
    try:
        return parse_utc(f"{month}-01")
    except ValueError:
        raise EnvironmentNotFoundError(f"--month: expected a month as 1997-06, got {month!r}") from None


def _name(arn: str) -> str:
    """The end of an ARN: `…:execution:<machine>:<name>` and `…:training-job/<name>` are `<name>`."""
    return arn.rpartition(":")[2].rpartition("/")[2]


def _training_lines(
    environment: Environment, names: WorkloadNames, runs: Mapping[str, float], jobs: Iterable[Job]
) -> Iterator[CostLine]:
    """A line for each run that reserved budget: `train` executions, and what a person started."""
    versions = {package.metadata.get("run", ""): package.version for package in registry_of(environment, names).all()}
    for run, reserved_usd in runs.items():
        own = [job for job in jobs if job.run == run]
        version = f", version {versions[run]}" if run in versions else ""
        yield CostLine(
            what="training",
            which=f"{run}{version}",
            count=sum(job.billed_s for job in own),
            unit="seconds",
            usd=sum(job.usd for job in own),
            reserved_usd=reserved_usd,
        )


def _begun(environment: Environment, names: WorkloadNames, machine: str, first: datetime) -> set[str]:
    """The names of the machine's executions that began in the month."""
    # The newest first.
    listed = list_executions(environment.client("stepfunctions"), names, machine) or ()
    since = takewhile(lambda each: each["startDate"] >= first, listed)
    return {each["name"] for each in since if each["startDate"] < next_month(first)}


def _hosting(environment: Environment) -> Collection[str]:
    """The instance types of endpoints, by SageMaker's own model."""
    shape: Any = environment.client("sagemaker").meta.service_model.shape_for("ProductionVariantInstanceType")
    return frozenset(shape.enum)


def query_lines(environment: Environment, names: WorkloadNames, first: datetime) -> Iterator[CostLine]:
    """A line for each scheduled query, by what Athena read for its runs of the month."""
    read = dict[str, list[int]]()
    states = environment.client("stepfunctions")
    for run in sorted(_begun(environment, names, QUERY, first)):
        described = states.describe_execution(executionArn=names.execution_arn(QUERY, run))
        output = json.loads(described.get("output", "{}"))
        if unloaded := output.get("unloaded"):
            name = str(output["detail"]["schedule"]).removeprefix(f"{QUERY}-")
            read.setdefault(name, []).append(int(unloaded["scanned_bytes"]))
    for name, scanned in read.items():
        yield CostLine(
            what="query",
            which=f"{name}, {count(len(scanned), 'run')}",
            count=sum(scanned) / 1e9,
            unit="GB read",
            usd=sum(map(price, scanned)),
            source=RATES["scanned byte"].source,
        )


def _gains(
    environment: Environment, names: WorkloadNames, lines: Iterable[CostLine], workload: Workload
) -> Iterator[str]:
    """What the versions that were trained in the month brought, by the lines of their trainings."""
    s3, price_of_error = environment.client("s3"), workload.retraining.usd_per_error
    for line in lines:
        run, _, version = line.which.partition(", ")
        gain = gain_of(read_evaluation(s3, names, run), price_of_error) if line.what == "training" else None
        if gain and version:
            yield f"{version}: {gain.words(line.usd or 0)}"


def find_monthly(environment: Environment, names: WorkloadNames) -> tuple[CostLine, ...]:
    """What a month costs whether anything happens or not, as far as it is above 0, for what is deployed now.

    The stage's key and alarms belong to no workload."""
    return (*storage_lines(environment, names), *find_standing(environment, names), *mlflow_lines(environment, names))


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
    cloudwatch, functions = environment.client("cloudwatch"), environment.client("lambda")
    metric, composite = find_alarms(cloudwatch, names)
    boards = [
        entry["DashboardName"]
        for page in cloudwatch.get_paginator("list_dashboards").paginate()
        for entry in page["DashboardEntries"]
    ]
    polled = [
        mapping
        for page in functions.get_paginator("list_event_source_mappings").paginate()
        for mapping in page["EventSourceMappings"]
        if f":function:{names.prefix}-" in mapping["FunctionArn"] and mapping.get("State") != "Disabled"
    ]
    scaling = [alarm for alarm in metric if alarm["AlarmName"].startswith(names.scaling_alarms)]
    return standing(
        metrics=sum(metrics_of(alarm) for alarm in metric if alarm not in scaling),
        scaling=sum(map(metrics_of, scaling)),
        composites=len(composite),
        # The dashboards that are not free, shared evenly among all.
        dashboards=max(0, len(boards) - FREE_DASHBOARDS) / len(boards) if names.dashboard in boards else 0,
        polled=len(polled),
        ready=find_ready(functions, names),
    )


def find_alarms(cloudwatch: Any, names: WorkloadNames) -> tuple[list[Any], list[Any]]:
    """Metric alarms and composite alarms, also those by which target tracking scales the endpoint. `cloudwatch` is
    boto3's client."""
    listed = cloudwatch.get_paginator("describe_alarms")
    pages = [
        page
        for prefix in (f"{names.prefix}-", names.scaling_alarms)
        for page in listed.paginate(AlarmNamePrefix=prefix, AlarmTypes=["MetricAlarm", "CompositeAlarm"])
    ]
    metric, composite = (
        [alarm for page in pages for alarm in page.get(kind, [])] for kind in ("MetricAlarms", "CompositeAlarms")
    )
    return metric, composite


def find_ready(client: Any, names: WorkloadNames) -> Mapping[str, float]:
    """The GB of memory that Lambda keeps ready for the alias of the prediction function, by the rate that it is billed
    at; empty if nothing is. `client` is boto3's Lambda client."""
    function = {"FunctionName": names.function("prediction")}
    try:
        version = client.get_alias(**function, Name=LIVE)["FunctionVersion"]
    except client.exceptions.ResourceNotFoundException:
        return {}
    made = client.get_function_configuration(**function, Qualifier=version)
    try:
        kept = client.get_provisioned_concurrency_config(**function, Qualifier=LIVE)
    except client.exceptions.ProvisionedConcurrencyConfigNotFoundException:
        kept = {}
    copies = {
        "snapshot": int(made.get("SnapStart", {}).get("OptimizationStatus") == "On"),
        "provisioned": kept.get("RequestedProvisionedConcurrentExecutions", 0),
    }
    return {f"lambda {kind} GB second": made["MemorySize"] / 1024 * number for kind, number in copies.items() if number}


def standing(
    *,
    metrics: int,
    scaling: int,
    composites: int,
    dashboards: float,
    polled: int,
    ready: Mapping[str, float] | None = None,
) -> tuple[CostLine, ...]:
    """The lines for that many of each resource.

    `metrics` are those that alarms of the stacks read, `scaling` those of the alarms by which the endpoint is scaled.
    `dashboards` is the workload's share of the account's dashboards beyond the free ones; `ready` is as `find_ready`
    returns it."""
    # Requests of one queue in a month.
    polls = POLLERS * MONTH_S / POLL_S * RATES["queue request"].usd
    lines = (
        ("queues that functions poll", polled, "queues", polls, False),
        ("alarms", metrics, "metrics", USD_PER_METRIC, False),
        ("composite alarms", composites, "alarms", USD_PER_COMPOSITE, False),
        *(
            ("prediction function kept ready", gb, f"GB of {rate.split()[1]}", MONTH_S * RATES[rate].usd, False)
            for rate, gb in (ready or {}).items()
        ),
        ("dashboard beyond three of the account", dashboards, "dashboards", RATES["dashboard month"].usd, False),
        ("alarms of the scaling", scaling, "metrics", USD_PER_METRIC, True),
    )
    return tuple(
        CostLine(
            what=what,
            count=count,
            unit=unit,
            usd=count * usd,
            billed="monthly with an endpoint" if endpoint else "monthly",
        )
        for what, count, unit, usd, endpoint in lines
        if count
    )


def metrics_of(alarm: Mapping[str, Any]) -> int:
    """How many metrics an alarm reads, as the API or a template describes it."""
    queries: Iterable[Mapping[str, Any]] = alarm.get("Metrics") or ()
    # An alarm on one metric has no list of queries.
    return sum("MetricStat" in query for query in queries) or 1


def mlflow_lines(environment: Environment, names: WorkloadNames) -> tuple[CostLine, ...]:
    """The MLflow of SageMaker that the function `tracking` writes to, without what it stores; empty if there is none.

    All workloads and stages that name it share it. A stopped server bills no hours."""
    client = environment.client("lambda")
    try:
        made = client.get_function_configuration(FunctionName=names.function("tracking"))
    except client.exceptions.ResourceNotFoundException:
        return ()
    uri: str = made["Environment"].get("Variables", {}).get("MILLRACE_TRACKING_URI", "")
    # The address is an ARN: `arn:aws:sagemaker:…:mlflow-tracking-server/<name>`.
    kind, _, name = uri.rpartition(":")[2].partition("/")
    if kind not in ("mlflow-app", "mlflow-tracking-server"):
        return ()
    which, hours, rate = name, 0, RATES.get("mlflow-app month")
    if kind == "mlflow-tracking-server":
        server = environment.client("sagemaker").describe_mlflow_tracking_server(TrackingServerName=name)
        which, hours = f"{name}, {server['TrackingServerSize']}", HOURS_PER_MONTH * (server["IsActive"] == "Active")
        rate = RATES.get(f"mlflow {server['TrackingServerSize']} hour")
    usd = hours * rate.usd if rate else None if hours else 0.0
    return (
        CostLine(
            what=kind.replace("-", " "), which=which, count=hours, unit="hours", usd=usd, billed="monthly for all"
        ),
    )
