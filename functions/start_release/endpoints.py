"""Looks at an endpoint before a release uses it."""

from __future__ import annotations

from typing import Any, Literal

from millrace.aws.endpoints import BROKEN, CHANGING, find_endpoint
from millrace.errors import ConflictError

Standing = Literal["absent", "in_service", "changing"]
"""`absent`: the release makes it. `in_service`: the release updates it. `changing`: the release waits."""


def standing(client: Any, name: str, *, serves: bool) -> Standing:
    """Whether the endpoint can be used. One that can be neither used nor updated is deleted, and counts as `changing`.

    `serves` says whether callers use the endpoint. Such a broken endpoint may still answer some of them, so a person
    must decide whether it goes: this raises ConflictError. Only if its status is `Failed` does it answer nobody, and
    is deleted."""
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
