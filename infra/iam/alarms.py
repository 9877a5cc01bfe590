"""Rights on CloudWatch: alarms, metrics."""

from __future__ import annotations

from millrace.infra.iam.resource import Resource, Statement, every, resource
from millrace.names import WorkloadNames


def named(names: WorkloadNames, *which: str) -> Resource:
    """The workload's alarms of these names."""
    return _alarms(names, *(names.alarm(name) for name in which))


def of_releases(names: WorkloadNames) -> Resource:
    """The alarms that a release makes and deletes."""
    return _alarms(names, f"{names.prefix}-v*", because="The alarms of a release are named by its version")


def of_scaling(names: WorkloadNames) -> Resource:
    """The alarms that Auto Scaling makes in the name of the caller that registers a scalable target."""
    return _alarms(names, f"{names.scaling_alarms}*", because="The alarms of target tracking are named by Auto Scaling")


def describe(*, because: str) -> Statement:
    """Look at alarms by the beginning of their name, or at all."""
    return every("cloudwatch", because=because).may("DescribeAlarms")


def read_metrics() -> Statement:
    """Read figures of any metric."""
    return every("cloudwatch", because="GetMetricStatistics takes no resource").may("GetMetricStatistics")


def put_metrics(namespaces: list[str]) -> Statement:
    """Publish metrics in each of the namespaces."""
    named = {"StringEquals": {"cloudwatch:namespace": namespaces}}
    because = "PutMetricData takes no resource; the namespace is a condition"
    return every("cloudwatch", where=named, because=because).may("PutMetricData")


def _alarms(names: WorkloadNames, *alarms: str, because: str = "") -> Resource:
    return resource(
        "cloudwatch", *(names.platform.arn("cloudwatch", f"alarm:{one}") for one in alarms), because=because
    )
