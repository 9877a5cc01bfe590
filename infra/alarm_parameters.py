"""The parameters of an operations alarm, for CloudFormation and for CloudWatch's API, which use the same names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from millrace.operations.alarms import OperationsAlarm, Severity, WatchedMetric, runbook


def parameters(
    name: str,
    alarm: OperationsAlarm[Any],
    *,
    alarm_name: str,
    about: str,
    metrics: Sequence[WatchedMetric],
    threshold: float,
    topic_arn: str = "",
) -> dict[str, Any]:
    """The parameters of the alarm `name` of the catalogue on `metrics`.

    If there is a topic, the alarm sends a message when it is raised and when it is over."""
    return {
        "AlarmName": alarm_name,
        "AlarmDescription": description(name, about, alarm.description, alarm.severity),
        "Threshold": threshold,
        "ComparisonOperator": "GreaterThanThreshold",
        "EvaluationPeriods": alarm.periods,
        "DatapointsToAlarm": alarm.needed,
        "TreatMissingData": "notBreaching",
        "Metrics": _queries(alarm, metrics),
        **notifying(topic_arn),
    }


def description(name: str, about: str, raised: str, severity: Severity) -> str:
    """The description of an alarm: what it is about, when it is raised, its severity and its runbook."""
    return f"{about}: {raised} ({severity}; {runbook(name)})"


def notifying(topic_arn: str) -> dict[str, list[str]]:
    """The parameters by which an alarm sends its changes to the topic; none without a topic."""
    return {"AlarmActions": [topic_arn], "OKActions": [topic_arn]} if topic_arn else {}


def _queries(alarm: OperationsAlarm[Any], metrics: Sequence[WatchedMetric]) -> list[dict[str, Any]]:
    """One query for each metric, as `m0`, `m1` and so on.

    If the alarm has a formula or several metrics, one more query is compared: the formula, else the largest value."""
    # CloudWatch compares the one query that returns data. METRICS() stands for all other queries.
    formula = alarm.formula or ("MAX(METRICS())" if len(metrics) > 1 else "")
    queries: list[dict[str, Any]] = [
        {
            "Id": f"m{index}",
            "ReturnData": not formula,
            "MetricStat": {
                "Stat": metric.statistic,
                "Period": alarm.period_s,
                "Metric": {
                    "Namespace": metric.namespace,
                    "MetricName": metric.name,
                    "Dimensions": [{"Name": key, "Value": value} for key, value in metric.dimensions.items()],
                },
            },
        }
        for index, metric in enumerate(metrics)
    ]
    return [*queries, {"Id": "judged", "Expression": formula, "ReturnData": True}] if formula else queries
