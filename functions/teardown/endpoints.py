"""What costs by the hour: endpoints, with their scaling and what watches them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from botocore.exceptions import ClientError

from millrace.aws.endpoints import CHANGING
from millrace.aws.errors import is_absent
from millrace.monitoring import alarms as monitors
from millrace.names import WorkloadNames
from millrace.operations import alarms as operations


def delete(client: Callable[[str], Any], names: WorkloadNames) -> list[str]:
    """The endpoints that still existed.

    Scalable targets are removed first: without its endpoint a target looks like a new one."""
    found = list(_scaling(client("application-autoscaling"), names.endpoint))
    for name in (names.endpoint, names.challenger):
        found += _endpoint(client("sagemaker"), name)
    return [*found, *_watch(client("cloudwatch"), names)]


def _watch(cloudwatch: Any, names: WorkloadNames) -> list[str]:
    """What a release made to watch the endpoint.

    One call may name one composite alarm at most, and no alarm that is not there."""
    watching = (*monitors.RATIO_ALARMS, *monitors.COUNT_ALARMS, *operations.ENDPOINT_ALARMS, operations.SERVING)
    described = cloudwatch.describe_alarms(
        AlarmNames=[names.alarm(name) for name in watching], AlarmTypes=["MetricAlarm", "CompositeAlarm"]
    )
    found = [one["AlarmName"] for kind in ("CompositeAlarms", "MetricAlarms") for one in described.get(kind, [])]
    if found:
        cloudwatch.delete_alarms(AlarmNames=found)
    listed = cloudwatch.list_dashboards(DashboardNamePrefix=names.dashboard)["DashboardEntries"]
    dashboards = [one["DashboardName"] for one in listed if one["DashboardName"] == names.dashboard]
    if dashboards:
        cloudwatch.delete_dashboards(DashboardNames=dashboards)
    return [*(f"alarm {name}" for name in found), *(f"dashboard {name}" for name in dashboards)]


def _scaling(scaling: Any, endpoint: str) -> Iterator[str]:
    """The target takes its policies and their alarms with it."""
    pages = scaling.get_paginator("describe_scalable_targets").paginate(ServiceNamespace="sagemaker")
    for target in [one for page in pages for one in page["ScalableTargets"]]:
        if target["ResourceId"].startswith(f"endpoint/{endpoint}/"):
            named = {key: target[key] for key in ("ServiceNamespace", "ResourceId", "ScalableDimension")}
            scaling.deregister_scalable_target(**named)
            yield f"scalable target {target['ResourceId']}"


def _endpoint(sagemaker: Any, name: str) -> list[str]:
    """One that is changing cannot be deleted yet, or is being deleted; the next step looks again."""
    try:
        if sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"] not in CHANGING:
            sagemaker.delete_endpoint(EndpointName=name)
    except ClientError as error:
        if is_absent(error):
            return []
        raise
    return [f"endpoint {name}"]
