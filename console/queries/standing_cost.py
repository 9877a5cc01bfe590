"""What a workload costs a month while nothing happens, line by line: alarms, the dashboard, queues that are polled.

All at list prices, for what is deployed. Of what every account has free only the three dashboards are taken off. The
hours of the endpoint are in `console.queries.cost`. The stage's key and alarms belong to no workload."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from console.environment import Environment
from console.queries.usage import Rate
from millrace.names import WorkloadNames
from millrace.operations.alarms import ALARMS, USD_PER_COMPOSITE, USD_PER_METRIC

SQS_REQUEST = Rate(usd=0.40 / 1e6, source="aws.amazon.com/sqs/pricing, standard queues", as_of="2026-11-21")
DASHBOARD = Rate(usd=3.00, source="aws.amazon.com/cloudwatch/pricing, beyond three an account", as_of="2026-11-21")
SNAPSHOT = Rate(usd=0.0000015046, source="aws.amazon.com/lambda/pricing, SnapStart, cached GB-s", as_of="2026-11-21")
PROVISIONED = Rate(usd=0.0000033334, source="aws.amazon.com/lambda/pricing, provisioned GB-s, Arm", as_of="2026-11-21")
LIVE = "live"
"""The alias of a prediction function that is ready before its first request, by `prediction_starts` in `cdk.json`."""
FREE_DASHBOARDS = 3
"""How many dashboards an account has free."""
POLLERS, POLL_S, MONTH_S = 5, 20, 30 * 24 * 3600
"""Lambda reads an empty queue with five long polls of 20 seconds at once. Without a maximal concurrency it goes down to
two.

https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html"""


@dataclass(frozen=True, kw_only=True)
class StandingLine:
    """One kind of resource that is billed by the month."""

    what: str
    count: int
    usd: float
    with_endpoint: bool
    """Whether a teardown of the endpoint removes it."""


@dataclass(frozen=True, kw_only=True)
class Ready:
    """What Lambda keeps ready for the alias of the prediction function."""

    memory_gb: float
    snapshots: int
    """1 with SnapStart, else 0."""
    provisioned: int
    """How many copies of the function are kept started."""


def find_standing(environment: Environment, names: WorkloadNames) -> tuple[StandingLine, ...]:
    """The lines above 0 for what is deployed now."""
    cloudwatch = environment.client("cloudwatch")
    metric, composite = find_alarms(cloudwatch, names)
    boards = [
        one["DashboardName"]
        for page in cloudwatch.get_paginator("list_dashboards").paginate()
        for one in page["DashboardEntries"]
    ]
    mappings = environment.client("lambda").get_paginator("list_event_source_mappings").paginate()
    polled = [
        one
        for page in mappings
        for one in page["EventSourceMappings"]
        if f":function:{names.prefix}-" in one["FunctionArn"] and one.get("State") != "Disabled"
    ]
    own = {names.alarm(name) for name in ALARMS}
    return standing(
        queue_metrics=sum(metrics_of(one) for one in metric if one["AlarmName"] in own),
        endpoint_metrics=sum(metrics_of(one) for one in metric if one["AlarmName"] not in own),
        composites=len(composite),
        # The dashboards that are not free, shared evenly among all.
        dashboards=max(0, len(boards) - FREE_DASHBOARDS) / len(boards) if names.dashboard in boards else 0,
        polled=len(polled),
        ready=find_ready(environment.client("lambda"), names),
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
        [one for page in pages for one in page.get(kind, [])] for kind in ("MetricAlarms", "CompositeAlarms")
    )
    return metric, composite


def find_ready(client: Any, names: WorkloadNames) -> Ready | None:
    """What is kept ready of the prediction function; None if nothing is. `client` is boto3's Lambda client."""
    function = {"FunctionName": names.function("prediction")}
    try:
        version = client.get_alias(**function, Name=LIVE)["FunctionVersion"]
    except client.exceptions.ResourceNotFoundException:
        return None
    made = client.get_function_configuration(**function, Qualifier=version)
    try:
        kept = client.get_provisioned_concurrency_config(**function, Qualifier=LIVE)
    except client.exceptions.ProvisionedConcurrencyConfigNotFoundException:
        kept = {}
    return Ready(
        memory_gb=made["MemorySize"] / 1024,
        snapshots=int(made.get("SnapStart", {}).get("OptimizationStatus") == "On"),
        provisioned=kept.get("RequestedProvisionedConcurrentExecutions", 0),
    )


def standing(
    *,
    queue_metrics: int,
    endpoint_metrics: int,
    composites: int,
    dashboards: float,
    polled: int,
    ready: Ready | None = None,
) -> tuple[StandingLine, ...]:
    """The lines for so many of each resource.

    `dashboards` is the workload's share of the account's dashboards beyond the free ones."""
    # Requests of one queue in a month.
    polls = POLLERS * MONTH_S / POLL_S * SQS_REQUEST.usd
    ready = ready or Ready(memory_gb=0, snapshots=0, provisioned=0)
    month = ready.memory_gb * MONTH_S
    lines = (
        ("queues that functions poll", polled, polls, False),
        ("metrics that alarms on queues read", queue_metrics, USD_PER_METRIC, False),
        ("snapshots of the prediction function", ready.snapshots, month * SNAPSHOT.usd, False),
        ("prediction functions kept started", ready.provisioned, month * PROVISIONED.usd, False),
        ("metrics that alarms of the endpoint read", endpoint_metrics, USD_PER_METRIC, True),
        ("composite alarms", composites, USD_PER_COMPOSITE, True),
        ("share of the account's dashboards beyond three", int(dashboards > 0), dashboards * DASHBOARD.usd, True),
    )
    return tuple(
        StandingLine(what=what, count=count, usd=count * usd, with_endpoint=endpoint)
        for what, count, usd, endpoint in lines
        if count
    )


def metrics_of(alarm: Mapping[str, Any]) -> int:
    """How many metrics an alarm reads, as the API or a template describes it."""
    queries: Iterable[Mapping[str, Any]] = alarm.get("Metrics") or ()
    # An alarm on one metric has no list of queries.
    return sum("MetricStat" in query for query in queries) or 1
