"""The challenger that a release which failed leaves behind."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from millrace.aws.endpoints import CHANGING
from millrace.aws.errors import could_not_find


def stands(client: Any, endpoint: str) -> bool:
    """Whether there is a challenger that can be deleted; `client` is boto3's SageMaker client."""
    try:
        return client.describe_endpoint(EndpointName=endpoint)["EndpointStatus"] not in CHANGING
    except ClientError as error:
        if could_not_find(error):
            return False
        raise


def delete(client: Any, endpoint: str) -> list[str]:
    """Delete the challenger's endpoint, which would cost by the hour, and return the names of what was deleted.

    Nothing while it is made, changed or deleted, which SageMaker refuses to interrupt: the hourly sweep deletes it
    then. `client` is boto3's SageMaker client."""
    if not stands(client, endpoint):
        return []
    try:
        client.delete_endpoint(EndpointName=endpoint)
    except ClientError as error:
        if could_not_find(error):
            return []
        raise
    return [f"endpoint {endpoint}"]
