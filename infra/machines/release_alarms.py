"""The alarms of one release. SageMaker brings the old fleet back if one of them is raised.

Both alarms read only the new fleet, by the dimension EndpointConfigName. Both are raised by two bad minutes of three,
since a single slow or failed request breaches one minute at most, however few requests there are.
https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails-configuration.html
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from millrace.infra.context import Context
from millrace.infra.machines.calls import call
from millrace.infra.machines.states import State
from millrace.names import VARIANT

ERRORS_ALARM = "States.Format('{}-errors', $.live_config.name)"
LATENCY_ALARM = "States.Format('{}-latency', $.live_config.name)"
PERIOD_S = 60
PERIODS, BREACHING = 3, 2
"""How many minutes are looked at, and how many bad ones of them raise the alarm."""
ERROR_SHARE = 0.01
"""Share of the requests that the new fleet may answer with 5xx."""
PERCENTILES = {"p99": 1000, "p90": 100}
"""Percentiles of the latency, each with the requests in a minute that make it significant: 10 / (1 - percentile).

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/percentiles-with-low-samples.html"""


def on_errors(context: Context, *, next_state: str) -> State:
    """The alarm on errors. Bad input is answered with 4xx, so any 5xx of the new fleet is the version's own.

    SageMaker publishes 1 for a request that failed and 0 for any other, so the average is the share that failed.
    https://docs.aws.amazon.com/sagemaker/latest/dg/monitoring-cloudwatch.html"""
    queries = [{**_query("errors", "Invocation5XXErrors", "Average", context), "ReturnData": True}]
    return _alarm(ERRORS_ALARM, queries, ERROR_SHARE, "The new fleet answers with 5xx", next_state)


def on_latency(context: Context, *, next_state: str) -> State:
    """The alarm on latency: p99 if a minute has enough requests for it, p90 if it has fewer, the median if it has few.

    CloudWatch has a setting of its own for few samples: EvaluateLowSampleCountPercentile = ignore. With it an alarm on
    p99 would never be raised below 1,000 requests a minute, however slow the version is."""
    queries = [
        _query("requests", "ModelLatency", "SampleCount", context),
        *(_query(name, "ModelLatency", name, context) for name in (*PERCENTILES, "p50")),
        {"Id": "latency", "Label": "latency", "Expression": _by_requests(), "ReturnData": True},
    ]
    bound_us = context.workload.gates.latency.max_p99_ms * 1000  # ModelLatency comes in microseconds
    return _alarm(LATENCY_ALARM, queries, bound_us, "The new fleet is slower than the gate allows", next_state)


def delete(*, next_state: str) -> State:
    parameters = {"AlarmNames.$": f"States.Array({ERRORS_ALARM}, {LATENCY_ALARM})"}
    return call("cloudwatch:deleteAlarms", "The release is over, so are its alarms", parameters, next_state=next_state)


def _by_requests() -> str:
    """The expression `IF(requests >= 1000, p99, IF(requests >= 100, p90, p50))`."""
    # From the inside out: the percentile that needs most requests becomes the outermost condition.
    expression = "p50"
    for name, requests in sorted(PERCENTILES.items(), key=lambda item: item[1]):
        expression = f"IF(requests >= {requests}, {name}, {expression})"
    return expression


def _query(name: str, metric: str, statistic: str, context: Context) -> dict[str, Any]:
    """A query of one metric of the new fleet. Without the dimension EndpointConfigName it would read both fleets."""
    dimensions = [
        {"Name": "EndpointName", "Value": context.names.endpoint},
        {"Name": "VariantName", "Value": VARIANT},
        {"Name": "EndpointConfigName", "Value.$": "$.live_config.name"},
    ]
    read = {"Namespace": "AWS/SageMaker", "MetricName": metric, "Dimensions": dimensions}
    return {"Id": name, "MetricStat": {"Metric": read, "Period": PERIOD_S, "Stat": statistic}, "ReturnData": False}


def _alarm(name: str, queries: Sequence[Mapping[str, Any]], threshold: float, comment: str, next_state: str) -> State:
    parameters = {
        "AlarmName.$": name,
        "AlarmDescription": comment,
        "Metrics": list(queries),
        "ComparisonOperator": "GreaterThanThreshold",
        "Threshold": threshold,
        "EvaluationPeriods": PERIODS,
        "DatapointsToAlarm": BREACHING,
        "TreatMissingData": "notBreaching",
    }
    return call("cloudwatch:putMetricAlarm", comment, parameters, next_state=next_state)
