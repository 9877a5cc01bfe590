"""An operations alarm of the catalogue, to the topic of alarms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from millrace.operations.alarms import OperationsAlarm, WatchedMetric, runbook


class Alarm(Construct):
    """The alarm `name` of the catalogue, deployed as `alarm_name`; it reads `metrics` and sends both changes."""

    def __init__(
        self,
        scope: Construct,
        name: str,
        alarm: OperationsAlarm[Any],
        *,
        alarm_name: str,
        about: str,
        metrics: Sequence[WatchedMetric],
        threshold: float,
        topic_arn: str,
    ) -> None:
        super().__init__(scope, f"{name}-alarm")
        cloudwatch.CfnAlarm(
            self,
            "Resource",
            alarm_name=alarm_name,
            alarm_description=f"{about}: {alarm.description} ({alarm.severity}; {runbook(name)})",
            threshold=threshold,
            comparison_operator="GreaterThanThreshold",
            evaluation_periods=alarm.periods,
            datapoints_to_alarm=alarm.needed,
            treat_missing_data="notBreaching",
            alarm_actions=[topic_arn],
            ok_actions=[topic_arn],
            metrics=_queries(alarm.statistic, alarm.period_s, metrics),
        )


def _queries(
    statistic: str, period_s: int, metrics: Sequence[WatchedMetric]
) -> list[cloudwatch.CfnAlarm.MetricDataQueryProperty]:
    """One query for each metric; of several, their largest value in each period is what the alarm compares."""
    queries = [
        cloudwatch.CfnAlarm.MetricDataQueryProperty(
            id=f"m{index}",
            return_data=len(metrics) == 1,
            metric_stat=cloudwatch.CfnAlarm.MetricStatProperty(
                stat=statistic,
                period=period_s,
                metric=cloudwatch.CfnAlarm.MetricProperty(
                    namespace=metric.namespace,
                    metric_name=metric.name,
                    dimensions=[
                        cloudwatch.CfnAlarm.DimensionProperty(name=key, value=value)
                        for key, value in metric.dimensions.items()
                    ],
                ),
            ),
        )
        for index, metric in enumerate(metrics)
    ]
    if len(metrics) > 1:
        largest = cloudwatch.CfnAlarm.MetricDataQueryProperty(id="largest", expression="MAX(METRICS())")
        queries.append(largest)
    return queries
