"""The state of an endpoint."""

from __future__ import annotations

from typing import Any, Literal

from botocore.exceptions import ClientError

from millrace.aws.endpoints import BROKEN, CHANGING
from millrace.aws.errors import could_not_find
from millrace.errors import ConflictError

Standing = Literal["absent", "in_service", "changing"]


def standing(client: Any, name: str, *, serves: bool) -> Standing:
    """Whether the endpoint is there; one that can be neither used nor updated is deleted first.

    Raises ConflictError for a broken one that `serves` callers and may answer some of them still: whether it goes is
    a person's decision. One that failed answers nobody."""
    try:
        status = client.describe_endpoint(EndpointName=name)["EndpointStatus"]
    except ClientError as error:
        if could_not_find(error):
            return "absent"
        raise
    if status in CHANGING:
        return "changing"
    if status not in BROKEN:
        return "in_service"
    if serves and status != "Failed":
        advice = "delete it, and release or roll back again"
        raise ConflictError(f"endpoint {name}: expected a status that can be updated, got {status}; {advice}")
    client.delete_endpoint(EndpointName=name)
    return "changing"
