"""The alarms of one release: SageMaker brings the old fleet back when one of them is raised.

Both read the new fleet alone, by the dimension EndpointConfigName, and both are raised by two of three minutes: one
slow or failed request, however few there are, breaches one minute at most.
https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails-configuration.html
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from infra.context import Context
from infra.machines.calls import call
from infra.machines.states import State
from millrace.names import VARIANT

ERRORS_ALARM = "States.Format('{}-errors', $.live_config.name)"
LATENCY_ALARM = "States.Format('{}-latency', $.live_config.name)"
PERIOD_S = 60
PERIODS, BREACHING = 3, 2
"""Minutes that are looked at, and how many of them raise the alarm."""
ERROR_SHARE = 0.01
"""Of the requests that the new fleet may answer with 5xx."""
PERCENTILES = {"p99": 1000, "p90": 100}
"""The requests in a minute from which a percentile counts as significant: 10 / (1 - percentile).

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/percentiles-with-low-samples.html"""


def on_errors(context: Context, *, next_state: str) -> State:
    """Bad input is answered with 4xx, so any 5xx of the new fleet is the version's own.

    SageMaker sends 1 for a request that failed and 0 for any other, so the average is the share that failed.
    https://docs.aws.amazon.com/sagemaker/latest/dg/monitoring-cloudwatch.html"""
    queries = [{**_query("errors", "Invocation5XXErrors", "Average", context), "ReturnData": True}]
    return _alarm(ERRORS_ALARM, queries, ERROR_SHARE, "The new fleet answers with 5xx", next_state)


def on_latency(context: Context, *, next_state: str) -> State:
    """p99 where a minute has enough requests for it, p90 where it has fewer, the median where it has few.

    CloudWatch's own setting for few samples, EvaluateLowSampleCountPercentile = ignore, would keep an alarm on p99 from
    ever being raised below 1,000 requests a minute, however slow the version is."""
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
    """`IF(requests >= 1000, p99, IF(requests >= 100, p90, p50))`."""
    expression = "p50"
    for name, requests in sorted(PERCENTILES.items(), key=lambda item: item[1]):
        expression = f"IF(requests >= {requests}, {name}, {expression})"
    return expression


def _query(name: str, metric: str, statistic: str, context: Context) -> dict[str, Any]:
    """One metric of the new fleet; without the dimension EndpointConfigName it would be of both fleets."""
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
