"""What releases made of versions: alarms, endpoint configurations, models, packages, and the pointers to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any

from botocore.exceptions import ClientError

from functions.teardown.not_found import is_absent
from millrace.aws.released_models import ReleasedModels
from millrace.names import WorkloadNames
from millrace.state.pointers import Pointers, ReleasePointers
from millrace.state.table import StateTable

AT_MOST = 100
"""Deletions of one kind in one call, since a function may run for minutes only; the machine calls again for more."""


def delete(client: Callable[[str], Any], names: WorkloadNames) -> list[str]:
    """The versions that still existed. A model is deleted after its configurations, which are found by it."""
    sagemaker = client("sagemaker")
    models = ReleasedModels(sagemaker=sagemaker, names=names)
    packages = _packages(sagemaker, names.package_group)
    configs = _each(
        "endpoint config",
        (name for name, _ in models.configs()),
        sagemaker.delete_endpoint_config,
        "EndpointConfigName",
    )
    return [
        *_alarms(client("cloudwatch"), names),
        *(configs or _each("model", models.listed(), sagemaker.delete_model, "ModelName")),
        *_each("model package", packages, sagemaker.delete_model_package, "ModelPackageName"),
        *_pointers(ReleasePointers(StateTable(client("dynamodb"), names))),
    ]


def _alarms(cloudwatch: Any, names: WorkloadNames) -> list[str]:
    """Alarms of aborted releases and leftover scaling alarms: all that watch our endpoint."""
    pages = cloudwatch.get_paginator("describe_alarms")
    ours = {"Name": "EndpointName", "Value": names.endpoint}
    found = [
        alarm["AlarmName"]
        for prefix in (f"{names.prefix}-v", f"TargetTracking-endpoint/{names.endpoint}/")
        for page in pages.paginate(AlarmNamePrefix=prefix, AlarmTypes=["MetricAlarm"])
        for alarm in page["MetricAlarms"]
        if ours in _dimensions(alarm)
    ][:AT_MOST]
    if found:
        cloudwatch.delete_alarms(AlarmNames=found)
    return [f"alarm {name}" for name in found]


def _dimensions(alarm: Mapping[str, Any]) -> list[Any]:
    """Of its one metric, or of all that its metric math reads."""
    queried = [one["MetricStat"]["Metric"] for one in alarm.get("Metrics", []) if "MetricStat" in one]
    return [found for metric in (alarm, *queried) for found in metric.get("Dimensions", [])]


def _packages(sagemaker: Any, group: str) -> Iterator[str]:
    """ARNs; none where the group is gone already."""
    try:
        for page in sagemaker.get_paginator("list_model_packages").paginate(ModelPackageGroupName=group):
            yield from (one["ModelPackageArn"] for one in page["ModelPackageSummaryList"])
    except ClientError as error:
        if not is_absent(error):
            raise


def _each(kind: str, found: Iterator[str], call: Callable[..., Any], parameter: str) -> list[str]:
    """The first of them, deleted; listed before, since a deletion shifts the pages."""
    names = list(islice(found, AT_MOST))
    for name in names:
        try:
            call(**{parameter: name})
        except ClientError as error:
            if not is_absent(error):
                raise
    return [f"{kind} {name}" for name in names]


def _pointers(kept: ReleasePointers) -> list[str]:
    """Nobody is live any more: the next deployment over the same table begins with a first training."""
    pointers = kept.read()
    if pointers == Pointers(revision=pointers.revision):
        return []
    kept.move(Pointers(revision=pointers.revision))
    live = pointers.champion.version if pointers.champion else "none"
    return [f"pointers to version {live}"]
