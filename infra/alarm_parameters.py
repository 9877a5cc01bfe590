"""An operations alarm of the catalogue as CloudFormation and the API of CloudWatch take it: both name things alike."""

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
    """The alarm `name` of the catalogue on `metrics`; it sends both changes to the topic, if there is one."""
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
    """Whose alarm it is, when it is raised, how urgent it is and where its runbook is."""
    return f"{about}: {raised} ({severity}; {runbook(name)})"


def notifying(topic_arn: str) -> dict[str, list[str]]:
    return {"AlarmActions": [topic_arn], "OKActions": [topic_arn]} if topic_arn else {}


def _queries(alarm: OperationsAlarm[Any], metrics: Sequence[WatchedMetric]) -> list[dict[str, Any]]:
    """One query for each metric; of several, the formula or their largest value is what the alarm compares."""
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
