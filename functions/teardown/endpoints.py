"""What costs by the hour: endpoints, with their scaling."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from botocore.exceptions import ClientError

from functions.teardown.not_found import is_absent
from millrace.names import WorkloadNames

CHANGING = ("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting")
"""Endpoints in these states cannot be deleted yet, or are being deleted; the next step looks again."""


def delete(client: Callable[[str], Any], names: WorkloadNames) -> list[str]:
    """The endpoints that still existed.

    Scalable targets are removed first: without its endpoint a target looks like a new one."""
    found = list(_scaling(client("application-autoscaling"), names.endpoint))
    for name in (names.endpoint, names.challenger):
        found += _endpoint(client("sagemaker"), name)
    return found


def _scaling(scaling: Any, endpoint: str) -> Iterator[str]:
    """The target takes its policies and their alarms with it."""
    pages = scaling.get_paginator("describe_scalable_targets").paginate(ServiceNamespace="sagemaker")
    for target in [one for page in pages for one in page["ScalableTargets"]]:
        if target["ResourceId"].startswith(f"endpoint/{endpoint}/"):
            named = {key: target[key] for key in ("ServiceNamespace", "ResourceId", "ScalableDimension")}
            scaling.deregister_scalable_target(**named)
            yield f"scalable target {target['ResourceId']}"


def _endpoint(sagemaker: Any, name: str) -> list[str]:
    try:
        if sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"] not in CHANGING:
            sagemaker.delete_endpoint(EndpointName=name)
    except ClientError as error:
        if is_absent(error):
            return []
        raise
    return [f"endpoint {name}"]
