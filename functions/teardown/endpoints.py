"""The step `endpoints` of a teardown: deletes the endpoints and their scaling.

They come before the other steps of deletion, since they cost by the hour."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from botocore.exceptions import ClientError

from millrace.aws.endpoints import CHANGING
from millrace.aws.errors import is_absent
from millrace.names import WorkloadNames


def delete(client: Callable[[str], Any], names: WorkloadNames) -> list[str]:
    """Delete the endpoints and their scaling. Returns what still existed."""
    # Scalable targets go first: one that outlives its endpoint cannot be told from the target of a new endpoint.
    found = list(_scaling(client("application-autoscaling"), names.endpoint))
    for name in (names.endpoint, names.challenger):
        found += _endpoint(client("sagemaker"), name)
    return found


def _scaling(scaling: Any, endpoint: str) -> Iterator[str]:
    """Deregister the endpoint's scalable targets. Their policies and alarms go with them."""
    pages = scaling.get_paginator("describe_scalable_targets").paginate(ServiceNamespace="sagemaker")
    for target in [one for page in pages for one in page["ScalableTargets"]]:
        if target["ResourceId"].startswith(f"endpoint/{endpoint}/"):
            named = {key: target[key] for key in ("ServiceNamespace", "ResourceId", "ScalableDimension")}
            scaling.deregister_scalable_target(**named)
            yield f"scalable target {target['ResourceId']}"


def _endpoint(sagemaker: Any, name: str) -> list[str]:
    """Delete the endpoint. Returns it as long as it exists.

    One that is changing cannot be deleted yet, or is being deleted. The machine repeats the step."""
    try:
        if sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"] not in CHANGING:
            sagemaker.delete_endpoint(EndpointName=name)
    except ClientError as error:
        if is_absent(error):
            return []
        raise
    return [f"endpoint {name}"]
