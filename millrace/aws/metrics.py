"""Publishes metrics as lines of a function's log, in CloudWatch's embedded metric format: no call, and no right to one.

A metric costs by the month, so what is good publishes nothing.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format.html"""

from __future__ import annotations

from collections.abc import Mapping

from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit


def publish(figures: Mapping[str, float], *, unit: MetricUnit = MetricUnit.NoUnit, **dimensions: str) -> None:
    """Publish the figures by their metrics' names; the dimensions are those that the alarms watch, such as Workload."""
    metrics = EphemeralMetrics(service="")  # else powertools adds a dimension "service" beside ours
    for name, value in dimensions.items():
        metrics.add_dimension(name, value)
    for name, figure in figures.items():
        metrics.add_metric(name, unit, figure)
    metrics.flush_metrics()
