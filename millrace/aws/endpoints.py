"""The statuses of a SageMaker endpoint, and what it serves.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DescribeEndpoint.html"""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from millrace.aws.errors import is_not_found

CHANGING = ("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting")
"""SageMaker refuses to update or delete the endpoint, and ends these by itself."""
BROKEN = ("Failed", "OutOfService", "UpdateRollbackFailed")
"""Final, and none serves its configuration on all instances; such an endpoint can only be deleted."""


def find_endpoint(client: Any, name: str) -> dict[str, Any] | None:
    """What DescribeEndpoint says; None where there is no such endpoint. `client` is boto3's SageMaker."""
    try:
        found: dict[str, Any] = client.describe_endpoint(EndpointName=name)
    except ClientError as error:
        if is_not_found(error):
            return None
        raise
    return found


def served_model(client: Any, endpoint: str) -> str | None:
    """The model's name; "" where there is no such endpoint, None while it changes or where it is broken.

    `client` is boto3's SageMaker."""
    found = find_endpoint(client, endpoint)
    if found is None:
        return ""
    if found["EndpointStatus"] != "InService":
        return None
    config = client.describe_endpoint_config(EndpointConfigName=found["EndpointConfigName"])
    return str(config["ProductionVariants"][0]["ModelName"])
