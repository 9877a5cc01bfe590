"""What an endpoint and its metrics have come to."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tests.localcloud.waiting import until


def settled(sagemaker: Any, name: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        told: dict[str, Any] = sagemaker.describe_endpoint(EndpointName=name)
        return told if told["EndpointStatus"] in {"InService", "Failed"} else None

    found = until(look)
    assert found is not None
    return found


def metric(
    client: Any, cloud: Any, name: str, endpoint: str, *, namespace: str = "AWS/SageMaker", **dimensions: str
) -> dict[str, float]:
    given = {"EndpointName": endpoint, "VariantName": "main", **dimensions}
    answer = client("cloudwatch").get_metric_statistics(
        Namespace=namespace,
        MetricName=name,
        Dimensions=[{"Name": key, "Value": value} for key, value in given.items()],
        StartTime=cloud.clock.now() - timedelta(minutes=5),
        EndTime=cloud.clock.now() + timedelta(minutes=5),
        Period=600,
        Statistics=["Sum", "SampleCount", "Maximum"],
    )
    points: list[dict[str, float]] = answer["Datapoints"]
    return points[0] if points else {"Sum": 0.0, "SampleCount": 0.0}
