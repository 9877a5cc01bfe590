"""What a month costs whether anything happens or not: what is stored, alarms, polled queues, functions kept ready."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

from botocore.exceptions import ClientError

from millrace.aws.objects import entries_below
from millrace.console.environment import Environment
from millrace.console.queries.money.endpoint import HOURS_PER_MONTH
from millrace.console.queries.money.work import CostLine, priced
from millrace.names import LIVE, WorkloadNames
from millrace.operations.alarms import USD_PER_COMPOSITE, USD_PER_METRIC
from millrace.workload.prices import RATES

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
    "snapshot": ("prediction function kept ready", "GB of snapshot", MONTH_S * RATES["lambda snapshot GB second"].usd),
    "provisioned": (
        "prediction function kept ready",
        "GB of provisioned",
        MONTH_S * RATES["lambda provisioned GB second"].usd,
    ),
    "dashboards": ("dashboard beyond three of the account", "dashboards", RATES["dashboard month"].usd),
    "scaling": ("alarms of the scaling", "metrics", USD_PER_METRIC),
}
"""What is billed by the month: how its line calls it, its unit, and the US dollars of one a month."""


def find_monthly(environment: Environment, names: WorkloadNames) -> tuple[CostLine, ...]:
    """What a month costs anyway, as far as it is above 0, for what is deployed now.

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
    """The GB of memory that Lambda keeps ready for the alias of the prediction function, `snapshot` or `provisioned`;
    empty without the alias. `client` is boto3's Lambda client."""
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
    gb, is_snapshot = made["MemorySize"] / 1024, made.get("SnapStart", {}).get("OptimizationStatus") == "On"
    return {
        "snapshot": gb * is_snapshot,
        "provisioned": gb * kept.get("RequestedProvisionedConcurrentExecutions", 0),
    }


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
            billed="monthly with an endpoint" if name == "scaling" else "monthly",
        )
        for name, (what, unit, usd) in STANDING.items()
        if (number := counts.get(name, 0))
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
