"""The statuses of SageMaker endpoints, and the model that an endpoint serves.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DescribeEndpoint.html"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from millrace.aws.deletion import is_not_found
from millrace.aws.errors import passed_over
from millrace.names import VARIANT

CHANGING = ("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting")
"""Statuses in which SageMaker refuses to update or delete the endpoint. SageMaker ends them by itself."""
BROKEN = ("Failed", "OutOfService", "UpdateRollbackFailed")
"""Final statuses of an endpoint that does not serve its configuration on all instances. It can only be deleted."""


def find_endpoint(client: Any, name: str) -> dict[str, Any] | None:
    """The answer of DescribeEndpoint. None if there is no such endpoint. `client` is boto3's SageMaker client."""
    return _found(client.describe_endpoint, EndpointName=name)


def find_model(client: Any, name: str) -> dict[str, Any] | None:
    """The answer of DescribeModel. None if there is no such model. `client` is boto3's SageMaker client."""
    return _found(client.describe_model, ModelName=name)


def _found(describe: Callable[..., dict[str, Any]], **name: str) -> dict[str, Any] | None:
    with passed_over(is_not_found):
        return describe(**name)
    return None


def count_requests(cloudwatch: Any, endpoint: Mapping[str, Any], *, start: datetime, end: datetime) -> int:
    """How many requests the fleet of the endpoint's configuration has had. `endpoint` is SageMaker's description.

    `cloudwatch` is boto3's client."""
    named = {name: endpoint[name] for name in ("EndpointName", "EndpointConfigName")} | {"VariantName": VARIANT}
    counted = cloudwatch.get_metric_statistics(
        Namespace="AWS/SageMaker",
        MetricName="Invocations",
        Dimensions=[{"Name": name, "Value": value} for name, value in named.items()],
        StartTime=start,
        EndTime=end,
        Period=3600,
        Statistics=["Sum"],
    )
    return sum(int(point["Sum"]) for point in counted["Datapoints"])


def is_changing(client: Any, name: str) -> bool:
    """Whether SageMaker changes the endpoint now. `client` is boto3's SageMaker client."""
    found = find_endpoint(client, name)
    return found is not None and found["EndpointStatus"] in CHANGING


def served_model(client: Any, endpoint: str) -> str | None:
    """The name of the model that the endpoint serves.

    "" if there is no such endpoint, None if it is changing or broken. `client` is boto3's SageMaker client."""
    found = find_endpoint(client, endpoint)
    if found is None:
        return ""
    if found["EndpointStatus"] != "InService":
        return None
    config = client.describe_endpoint_config(EndpointConfigName=found["EndpointConfigName"])
    return str(config["ProductionVariants"][0]["ModelName"])
