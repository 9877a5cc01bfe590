"""The state of an endpoint."""

from __future__ import annotations

from typing import Any, Literal

from botocore.exceptions import ClientError

from millrace.aws.errors import could_not_find

Standing = Literal["absent", "in_service", "changing"]


def standing(client: Any, name: str) -> Standing:
    """Whether the endpoint is there; one that failed is deleted first, for it can be neither used nor updated."""
    try:
        status = client.describe_endpoint(EndpointName=name)["EndpointStatus"]
    except ClientError as error:
        if could_not_find(error):
            return "absent"
        raise
    if status == "Failed":
        client.delete_endpoint(EndpointName=name)
    return "in_service" if status == "InService" else "changing"
