"""An alarm of CloudWatch on any metric."""

from __future__ import annotations

from typing import Any


def put_alarm(cloudwatch: Any, name: str, **settings: Any) -> None:
    """Above 0 in one minute; `settings` are of PutMetricAlarm, `cloudwatch` is boto3's client."""
    usual: dict[str, Any] = {
        "Namespace": "Millrace/local",
        "MetricName": "m",
        "Statistic": "Sum",
        "Period": 60,
        "EvaluationPeriods": 1,
        "Threshold": 0,
        "ComparisonOperator": "GreaterThanThreshold",
    }
    cloudwatch.put_metric_alarm(AlarmName=name, **usual | settings)
