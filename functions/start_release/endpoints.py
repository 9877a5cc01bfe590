"""The state of an endpoint."""

from __future__ import annotations

from typing import Any, Literal

from millrace.aws.endpoints import BROKEN, CHANGING, find_endpoint
from millrace.errors import ConflictError

Standing = Literal["absent", "in_service", "changing"]


def standing(client: Any, name: str, *, serves: bool) -> Standing:
    """Whether the endpoint is there; one that can be neither used nor updated is deleted first.

    Raises ConflictError for a broken one that `serves` callers and may answer some of them still: whether it goes is
    a person's decision. One that failed answers nobody."""
    found = find_endpoint(client, name)
    if found is None:
        return "absent"
    status = found["EndpointStatus"]
    if status in CHANGING:
        return "changing"
    if status not in BROKEN:
        return "in_service"
    if serves and status != "Failed":
        advice = "delete it, and release or roll back again"
        raise ConflictError(f"endpoint {name}: expected a status that can be updated, got {status}; {advice}")
    client.delete_endpoint(EndpointName=name)
    return "changing"
