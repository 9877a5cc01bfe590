"""The step `versions` of a teardown: deletes what releases and registrations made of versions.

These are alarms, endpoint configurations, models and packages. The release pointers are cleared, and that the endpoint
is asleep."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from botocore.exceptions import ClientError

from millrace.aws.deletion import delete_each
from millrace.aws.errors import is_absent
from millrace.aws.released_models import ReleasedModels
from millrace.names import WorkloadNames
from millrace.state.asleep import Asleep
from millrace.state.pointers import Pointers, ReleasePointers
from millrace.state.table import StateTable

AT_MOST = 100
"""The most deletions of one kind in one call. A function may run for minutes only, and the machine repeats the step."""


def delete(client: Callable[[str], Any], names: WorkloadNames) -> list[str]:
    """Delete them, and return what still existed."""
    sagemaker = client("sagemaker")
    models = ReleasedModels(sagemaker=sagemaker, names=names)
    configs = delete_each(
        "endpoint config",
        (name for name, _ in models.configs()),
        sagemaker.delete_endpoint_config,
        parameter="EndpointConfigName",
        at_most=AT_MOST,
    )
    # `configs or …`: a configuration is found by its model, so models are deleted only when no configuration is left.
    state = StateTable(client("dynamodb"), names)
    return [
        *_alarms(client("cloudwatch"), names),
        *(configs or _models(sagemaker, models)),
        *_packages(sagemaker, names.package_group),
        *_pointers(ReleasePointers(state)),
        *_sleep(state),
    ]


def _models(sagemaker: Any, models: ReleasedModels) -> list[str]:
    return delete_each("model", models.listed(), sagemaker.delete_model, parameter="ModelName", at_most=AT_MOST)


def _alarms(cloudwatch: Any, names: WorkloadNames) -> list[str]:
    """Delete the alarms of aborted releases and leftover alarms of the scaling: all that watch our endpoint."""
    pages = cloudwatch.get_paginator("describe_alarms")
    ours = {"Name": "EndpointName", "Value": names.endpoint}
    found = [
        alarm["AlarmName"]
        for prefix in (f"{names.prefix}-v", names.scaling_alarms)
        for page in pages.paginate(AlarmNamePrefix=prefix, AlarmTypes=["MetricAlarm"])
        for alarm in page["MetricAlarms"]
        if ours in _dimensions(alarm)
    ][:AT_MOST]
    if found:
        cloudwatch.delete_alarms(AlarmNames=found)
    return [f"alarm {name}" for name in found]


def _dimensions(alarm: Mapping[str, Any]) -> list[Any]:
    """The dimensions of the alarm's metric, or of all metrics that its metric math reads."""
    queried = [one["MetricStat"]["Metric"] for one in alarm.get("Metrics", []) if "MetricStat" in one]
    return [found for metric in (alarm, *queried) for found in metric.get("Dimensions", [])]


def _packages(sagemaker: Any, group: str) -> list[str]:
    found, call = _listed(sagemaker, group), sagemaker.delete_model_package
    return delete_each("model package", found, call, parameter="ModelPackageName", at_most=AT_MOST)


def _listed(sagemaker: Any, group: str) -> Iterator[str]:
    """The ARNs of the group's packages. None if the group is gone already."""
    try:
        for page in sagemaker.get_paginator("list_model_packages").paginate(ModelPackageGroupName=group):
            yield from (one["ModelPackageArn"] for one in page["ModelPackageSummaryList"])
    except ClientError as error:
        if not is_absent(error):
            raise


def _pointers(kept: ReleasePointers) -> list[str]:
    """Clear the pointers, since no version is live any more.

    The next deployment that uses the same table then begins with a first training."""
    pointers = kept.read()
    if pointers == Pointers(revision=pointers.revision):
        return []
    kept.move(Pointers(revision=pointers.revision))
    live = pointers.champion.version if pointers.champion else "none"
    return [f"pointers to version {live}"]


def _sleep(state: StateTable) -> list[str]:
    """Forget the stopped endpoint: the first request of the next deployment would have it started."""
    if (asleep := Asleep.find(state)) is None:
        return []
    asleep.remove(state)
    return [f"endpoint asleep since {asleep.since:%Y-%m-%d %H:%M}"]
