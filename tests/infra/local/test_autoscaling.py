"""Target tracking: load adds processes, its absence below the target takes them away, bounds and cool-downs hold."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from infra.local.containers import images
from infra.local.endpoints import endpoints
from tests.infra.local import tiny_images
from tests.infra.local.waiting import until

DIMENSION = "sagemaker:variant:DesiredInstanceCount"


@pytest.fixture
def endpoint(cloud: Any, client: Any, fresh: Callable[..., str], tmp_path: Any) -> str:
    """The name of an endpoint with one instance."""
    images(cloud).repository = tiny_images.write(tmp_path)
    sagemaker, name = client("sagemaker"), fresh("endpoint")
    role = client("iam").create_role(
        RoleName=name, AssumeRolePolicyDocument=tiny_images.trust("sagemaker.amazonaws.com")
    )
    sagemaker.create_model(
        ModelName=name,
        ExecutionRoleArn=role["Role"]["Arn"],
        PrimaryContainer={"Image": tiny_images.uri("serve")},
    )
    variant = {
        "VariantName": "main",
        "ModelName": name,
        "InstanceType": "ml.c7i.large",
        "InitialInstanceCount": 1,
    }
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    until(lambda: sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"] == "InService")
    return name


def register(client: Any, endpoint: str, low: int = 1, high: int = 3) -> str:
    resource = f"endpoint/{endpoint}/variant/main"
    client("application-autoscaling").register_scalable_target(
        ServiceNamespace="sagemaker",
        ResourceId=resource,
        ScalableDimension=DIMENSION,
        MinCapacity=low,
        MaxCapacity=high,
    )
    return resource


def track(client: Any, resource: str, target: float, metric: str = "SageMakerVariantInvocationsPerInstance") -> None:
    client("application-autoscaling").put_scaling_policy(
        PolicyName="track",
        ServiceNamespace="sagemaker",
        ResourceId=resource,
        ScalableDimension=DIMENSION,
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration={
            "TargetValue": target,
            "PredefinedMetricSpecification": {"PredefinedMetricType": metric},
            "ScaleInCooldown": 0,
            "ScaleOutCooldown": 0,
        },
    )


def count(client: Any, endpoint: str) -> int:
    told = client("sagemaker").describe_endpoint(EndpointName=endpoint)
    return int(told["ProductionVariants"][0]["CurrentInstanceCount"])


def serve(cloud: Any, endpoint: str, per_instance: float, minutes: int) -> None:
    """Let `minutes` pass in which each instance served so much."""
    blue = endpoints(cloud)[endpoint].blue
    assert blue is not None
    for _ in range(minutes):
        blue.variants["main"].per_instance[int(cloud.clock.timestamp() // 60)] = per_instance
        cloud.clock.move(cloud.clock.now() + timedelta(minutes=1))


def test_load_adds_processes_and_its_end_takes_them_away(cloud: Any, client: Any, endpoint: str) -> None:
    resource = register(client, endpoint)
    track(client, resource, 10)
    serve(cloud, endpoint, 25, 2)
    assert count(client, endpoint) == 1
    serve(cloud, endpoint, 25, 1)
    until(lambda: count(client, endpoint) == 3)
    blue = endpoints(cloud)[endpoint].blue
    assert blue is not None
    assert len({server.process.pid for server in blue.variants["main"].servers if server.process}) == 3
    serve(cloud, endpoint, 2, 14)
    assert count(client, endpoint) == 3
    serve(cloud, endpoint, 2, 1)
    until(lambda: count(client, endpoint) == 1)
    told = client("application-autoscaling").describe_scaling_activities(
        ServiceNamespace="sagemaker", ResourceId=resource
    )
    assert [one["Description"][-2] for one in told["ScalingActivities"]] == ["1", "3"]


def test_without_data_nothing_changes(cloud: Any, client: Any, endpoint: str) -> None:
    scaled = [{"VariantName": "main", "DesiredInstanceCount": 2}]
    client("sagemaker").update_endpoint_weights_and_capacities(
        EndpointName=endpoint, DesiredWeightsAndCapacities=scaled
    )
    until(lambda: count(client, endpoint) == 2)
    track(client, register(client, endpoint), 10)
    cloud.clock.move(cloud.clock.now() + timedelta(minutes=20))
    time.sleep(0.4)
    assert count(client, endpoint) == 2


def test_the_lower_bound_holds_at_once(client: Any, endpoint: str) -> None:
    register(client, endpoint, low=2)
    until(lambda: count(client, endpoint) == 2)


def test_requests_are_counted_per_instance(cloud: Any, client: Any, endpoint: str) -> None:
    for _ in range(3):
        client("sagemaker-runtime").invoke_endpoint(EndpointName=endpoint, Body=b"{}")
    blue = endpoints(cloud)[endpoint].blue
    assert blue is not None
    assert sum(blue.variants["main"].per_instance.values()) == 3


def test_refusals(client: Any, endpoint: str) -> None:
    with pytest.raises(ClientError, match="Could not find the endpoint"):
        register(client, "nobody")
    resource = register(client, endpoint)
    with pytest.raises(ClientError, match="covers target tracking of"):
        track(client, resource, 10, "SageMakerVariantProvisionedConcurrencyUtilization")


def test_an_instance_type_does_not_change_under_autoscaling(client: Any, endpoint: str, fresh: Any) -> None:
    register(client, endpoint)
    sagemaker, other = client("sagemaker"), fresh("config")
    variant = sagemaker.describe_endpoint_config(EndpointConfigName=endpoint)["ProductionVariants"][0]
    changed = {**variant, "InstanceType": "ml.c7i.xlarge"}
    sagemaker.create_endpoint_config(EndpointConfigName=other, ProductionVariants=[changed])
    with pytest.raises(ClientError, match="registered for autoscaling"):
        sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=other)
