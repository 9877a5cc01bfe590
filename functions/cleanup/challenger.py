"""What a release that failed leaves behind."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from botocore.exceptions import ClientError

from millrace.aws.errors import could_not_find
from millrace.state.table import State


def forget(state: State) -> list[str]:
    """What was forgotten: predictions are no longer copied to the challenger."""
    pointers = state.pointers()
    if pointers.challenger is None:
        return []
    state.move(replace(pointers, challenger=None))
    return ["challenger"]


def delete(client: Any, endpoint: str) -> list[str]:
    """What was deleted: an endpoint that nobody watches costs by the hour. `client` is boto3's SageMaker client."""
    try:
        client.delete_endpoint(EndpointName=endpoint)
    except ClientError as error:
        if could_not_find(error):
            return []
        raise
    return [f"endpoint {endpoint}"]
