"""The dashboard of a workload: the metrics of its alarms, and figures of the report that AWS has as metrics.

A stage has dashboards if its options say so, since each costs 3 USD a month beyond the three that an account has free.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from millrace.infra.context import Context
from millrace.monitoring import alarms as monitors
from millrace.names import MACHINES, QUERY, WorkloadNames
from millrace.operations.alarms import ALARMS, ENDPOINT_ALARMS, REFUSED_CALLS, REFUSED_DROPS, REFUSED_SHARE, own_metric

WIDTH, HEIGHT, COLUMNS = 8, 6, 3
"""Width and height of a widget in the dashboard's grid of 24 columns, and widgets in a row."""
HOUR_S, MINUTES_S = 3600, 300
MOST_5XX, MOST_MEMORY = (ENDPOINT_ALARMS[name].threshold for name in ("endpoint-errors", "endpoint-memory"))
Metrics = list[list[Any]]


def dashboard(scope: Construct, context: Context) -> None:
    """Add the dashboard of the workload to the scope."""
    body = json.dumps(_body(context))
    cloudwatch.CfnDashboard(scope, "dashboard", dashboard_name=context.names.dashboard, dashboard_body=body)


def _body(context: Context) -> dict[str, Any]:
    """Charts, three in a row. A free dashboard may show 50 metrics at most."""
    names = context.names
    made = monitors.monitor_alarms(context.workload.policy)
    counted = {name: alarm for name, alarm in monitors.COUNT_ALARMS.items() if name in made}
    charts = [
        _chart(
            context, "Figure of each monitor, over its bound above 1", _monitors(names, monitors.RATIO_ALARMS), at=1
        ),
        _chart(context, "Windows judged", [_own(names, "WindowsJudged")], stat="Sum", period_s=HOUR_S),
        _chart(context, "What monitors count, of which should be none", _monitors(names, counted), at=0),
        _chart(context, "Runs that succeeded", _runs(names, "ExecutionsSucceeded"), stat="Sum", period_s=HOUR_S),
        _chart(context, "Runs that failed", _runs(names, *FAILURES), stat="Sum", period_s=HOUR_S, at=0),
        _chart(context, "Median time of a run, ms", _runs(names, "ExecutionTime"), stat="p50", period_s=HOUR_S),
        *([] if context.workload.rollout.has_no_endpoint else _of_endpoint(context)),
        _chart(context, "Rows without a model's answer", [_own(names, name) for name in UNANSWERED], stat="Sum"),
        _chart(context, "Drops without a good row, and the refused share over its bound", _refused(names), at=1),
        _chart(context, "Age of data, share of what the contract allows", [_own(names, name) for name in AGES], at=1),
        _chart(context, "Dead letters", _queues(names, "dead-letters"), at=ALARMS["dead-letters"].threshold),
        _chart(context, "Age of the oldest message, s", _queues(names, *OLDEST), at=ALARMS["oldest-drop"].threshold),
    ]
    return {"start": "-P4W", "widgets": [*_placed(charts)]}


def _of_endpoint(context: Context) -> list[dict[str, Any]]:
    names = context.names
    bounds = {name: one.declared(context.workload) for name, one in ENDPOINT_ALARMS.items() if one.declared}
    bound_us, most_requests = bounds["endpoint-latency"], bounds["endpoint-load"]
    return [
        _chart(context, "Requests of the live endpoint", _watched(names, "endpoint-errors", metric=1), stat="Sum"),
        _chart(context, "p99 of the live endpoint, µs", _watched(names, "endpoint-latency"), stat="p99", at=bound_us),
        _chart(context, "Share of requests with 5xx", _watched(names, "endpoint-errors"), stat="Average", at=MOST_5XX),
        _chart(context, "Requests of an instance", _watched(names, "endpoint-load"), stat="Sum", at=most_requests),
        _chart(context, "Memory of an instance, %", _watched(names, "endpoint-memory"), at=MOST_MEMORY),
    ]


FAILURES = ("ExecutionsFailed", "ExecutionsTimedOut", "ExecutionsAborted")
OLDEST = ("oldest-drop", "late-decisions")
UNANSWERED = ("Fallbacks", "Unavailable", REFUSED_CALLS)
AGES = ("RowsAge", "LabelsAge")
"""Metrics that the function `lateness` publishes."""


def _placed(charts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The charts as widgets, from left to right and from top to bottom."""
    return [
        {
            "type": "metric",
            "x": index % COLUMNS * WIDTH,
            "y": index // COLUMNS * HEIGHT,
            "width": WIDTH,
            "height": HEIGHT,
            "properties": chart,
        }
        for index, chart in enumerate(charts)
    ]


def _chart(
    context: Context,
    title: str,
    metrics: Metrics,
    *,
    stat: str = "Maximum",
    period_s: int = MINUTES_S,
    at: float | None = None,
) -> dict[str, Any]:
    """A chart. `at` draws a line: the alarm is raised above it."""
    line = {} if at is None else {"annotations": {"horizontal": [{"label": "alarm", "value": at}]}}
    shown = {"title": title, "metrics": metrics, "stat": stat, "period": period_s, "region": context.platform.region}
    return {**shown, "view": "timeSeries", "yAxis": {"left": {"min": 0}}, **line}


def _metric(namespace: str, name: str, dimensions: Mapping[str, str], **options: Any) -> list[Any]:
    """A metric in the dashboard's form: `["AWS/Lambda", "Invocations", "FunctionName", "…", {"label": "intake"}]`."""
    return [namespace, name, *[part for pair in dimensions.items() for part in pair], *([options] if options else [])]


def _own(names: WorkloadNames, name: str) -> list[Any]:
    watched = own_metric(names, name, "")
    return _metric(watched.namespace, watched.name, watched.dimensions)


def _refused(names: WorkloadNames) -> Metrics:
    return [_own(names, name) for name in (REFUSED_DROPS, REFUSED_SHARE)]


def _monitors(names: WorkloadNames, alarms: Mapping[str, monitors.RatioAlarm | monitors.CountAlarm]) -> Metrics:
    return [_own(names, alarm.metric) for alarm in alarms.values()]


def _runs(names: WorkloadNames, *metrics: str) -> Metrics:
    """The metrics of every machine's executions; times are in milliseconds.

    https://docs.aws.amazon.com/step-functions/latest/dg/procedure-cw-metrics.html"""
    return [
        _metric("AWS/States", metric, {"StateMachineArn": names.machine_arn(machine)}, label=f"{machine} {metric}")
        for machine in MACHINES
        if machine not in (QUERY, "upkeep")  # the metrics of a dashboard are free up to 50
        for metric in metrics
    ]


def _watched(names: WorkloadNames, alarm: str, *, metric: int = 0) -> Metrics:
    """One metric of an alarm on the endpoint."""
    watched = ENDPOINT_ALARMS[alarm].metrics(names)[metric]
    return [_metric(watched.namespace, watched.name, watched.dimensions)]


def _queues(names: WorkloadNames, *alarms: str) -> Metrics:
    """The metrics of these alarms, each labelled by its queue."""
    return [
        _metric(
            watched.namespace,
            watched.name,
            watched.dimensions,
            label=watched.dimensions["QueueName"].removeprefix(names.queue("")),
        )
        for alarm in alarms
        for watched in (ALARMS | ENDPOINT_ALARMS)[alarm].metrics(names)
    ]
