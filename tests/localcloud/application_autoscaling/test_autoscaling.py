"""Target tracking: load adds processes, its absence below the target takes them away, bounds and cool-downs hold."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from threading import Thread
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud.application_autoscaling import install as autoscaling
from localcloud.sagemaker.containers import images
from tests.localcloud import tiny_images
from tests.localcloud.sagemaker.endpoints.reading import settled
from tests.localcloud.waiting import until

DIMENSION = "sagemaker:variant:DesiredInstanceCount"


@pytest.fixture
def endpoint(cloud: Any, client: Any, fresh: Callable[..., str], tmp_path: Any) -> str:
    """The name of an endpoint with one instance."""
    images(cloud).repository = tiny_images.write(tmp_path)
    sagemaker, name = client("sagemaker"), fresh("endpoint")
    tiny_images.serve(sagemaker, client("iam"), name, "ml.c7i.large")
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    assert settled(sagemaker, name)["EndpointStatus"] == "InService"
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


def track(
    client: Any,
    resource: str,
    target: float,
    metric: str = "SageMakerVariantInvocationsPerInstance",
    *,
    cool_down_s: int = 0,
) -> None:
    client("application-autoscaling").put_scaling_policy(
        PolicyName="track",
        ServiceNamespace="sagemaker",
        ResourceId=resource,
        ScalableDimension=DIMENSION,
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration={
            "TargetValue": target,
            "PredefinedMetricSpecification": {"PredefinedMetricType": metric},
            "ScaleInCooldown": cool_down_s,
            "ScaleOutCooldown": cool_down_s,
        },
    )


def count(client: Any, endpoint: str) -> int:
    told = client("sagemaker").describe_endpoint(EndpointName=endpoint)
    return int(told["ProductionVariants"][0]["CurrentInstanceCount"])


def alarms(client: Any, endpoint: str) -> dict[str, dict[str, Any]]:
    """Target tracking's own, `High` and `Low`."""
    prefix = f"TargetTracking-endpoint/{endpoint}/variant/main-Alarm"
    found = client("cloudwatch").describe_alarms(AlarmNamePrefix=prefix)["MetricAlarms"]
    return {one["AlarmName"].removeprefix(prefix).partition("-")[0]: one for one in found}


def sounds(client: Any, endpoint: str, side: str) -> bool:
    return bool(alarms(client, endpoint)[side]["StateValue"] == "ALARM")


def load(cloud: Any, client: Any, endpoint: str, requests: int, *, minutes: int = 1) -> set[int]:
    """Send so many requests in each of so many minutes of the cloud's clock; the processes that answered."""
    runtime = client("sagemaker-runtime")

    def ask(_: int) -> int:
        return int(json.loads(runtime.invoke_endpoint(EndpointName=endpoint, Body=b"{}")["Body"].read())["pid"])

    pids: set[int] = set()
    with ThreadPoolExecutor(4) as pool:
        for _ in range(minutes):
            # In the middle of the next minute, so that a slow machine does not come into the one after it.
            cloud.clock.move(start_of_minute(cloud) + timedelta(seconds=60))
            cloud.clock.move(start_of_minute(cloud) + timedelta(seconds=20))
            pids |= set(pool.map(ask, range(requests)))
    return pids


def start_of_minute(cloud: Any) -> datetime:
    now: datetime = cloud.clock.now()
    return now.replace(second=0, microsecond=0)


def test_load_adds_processes_and_its_end_takes_them_away(cloud: Any, client: Any, endpoint: str) -> None:
    """Requests by HTTP to processes that serve; the metric, the alarms and what they do are the cloud's own."""
    resource = register(client, endpoint, high=3)
    track(client, resource, 10)
    (first,) = load(cloud, client, endpoint, 40, minutes=2)
    assert (count(client, endpoint), sounds(client, endpoint, "High")) == (1, False)
    load(cloud, client, endpoint, 40)
    until(lambda: count(client, endpoint) == 3)
    assert sounds(client, endpoint, "High")
    # Four are needed, three are allowed.
    at_most = load(cloud, client, endpoint, 40, minutes=2)
    assert (first in at_most, len(at_most), count(client, endpoint)) == (True, 3, 3)
    started = at_most - {first}

    load(cloud, client, endpoint, 3, minutes=15)
    assert (count(client, endpoint), sounds(client, endpoint, "Low")) == (3, False)
    load(cloud, client, endpoint, 3, minutes=3)
    until(lambda: count(client, endpoint) == 1)
    assert sounds(client, endpoint, "Low")
    until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in started))
    assert load(cloud, client, endpoint, 3) == {first}


def test_a_cool_down_holds_back(cloud: Any, client: Any, endpoint: str) -> None:
    resource = register(client, endpoint)
    track(client, resource, 10, cool_down_s=600)
    load(cloud, client, endpoint, 15, minutes=3)
    until(lambda: count(client, endpoint) == 2)
    load(cloud, client, endpoint, 25, minutes=3)
    until(lambda: sounds(client, endpoint, "High"))
    time.sleep(0.4)
    assert count(client, endpoint) == 2
    load(cloud, client, endpoint, 25, minutes=8)
    until(lambda: count(client, endpoint) == 3)


def test_the_alarms_are_those_that_aws_makes(client: Any, endpoint: str) -> None:
    resource = register(client, endpoint)
    scaling = client("application-autoscaling")
    track(client, resource, 10)
    before = alarms(client, endpoint)
    assert {side: (one["EvaluationPeriods"], one["Threshold"]) for side, one in before.items()} == {
        "High": (3, 10.0),
        "Low": (15, 9.0),
    }
    policy = scaling.describe_scaling_policies(ServiceNamespace="sagemaker", ResourceId=resource)["ScalingPolicies"][0]
    assert {one["AlarmName"] for one in policy["Alarms"]} == {one["AlarmName"] for one in before.values()}
    assert {action for one in before.values() for action in one["AlarmActions"]} == {policy["PolicyARN"]}
    track(client, resource, 20)
    after = alarms(client, endpoint)
    assert {side: (one["AlarmName"], one["Threshold"]) for side, one in after.items()} == {
        "High": (before["High"]["AlarmName"], 20.0),
        "Low": (before["Low"]["AlarmName"], 18.0),
    }
    scaling.deregister_scalable_target(ServiceNamespace="sagemaker", ResourceId=resource, ScalableDimension=DIMENSION)
    assert alarms(client, endpoint) == {}


def test_bounds_that_cross_are_refused(client: Any, endpoint: str) -> None:
    """Also where one of them stays as it was; and the bounds that were there hold."""
    scaling, resource = client("application-autoscaling"), register(client, endpoint, low=1, high=2)
    target = {"ServiceNamespace": "sagemaker", "ResourceId": resource, "ScalableDimension": DIMENSION}
    for bounds in ({"MinCapacity": 5, "MaxCapacity": 2}, {"MinCapacity": 3}, {"MaxCapacity": 0}):
        with pytest.raises(ClientError, match="Maximum capacity cannot be less than minimum capacity"):
            scaling.register_scalable_target(**target, **bounds)
    (kept,) = scaling.describe_scalable_targets(ServiceNamespace="sagemaker", ResourceIds=[resource])["ScalableTargets"]
    assert (kept["MinCapacity"], kept["MaxCapacity"]) == (1, 2)


def test_no_evaluation_sees_a_policy_without_its_alarms(
    cloud: Any, client: Any, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def watch_late(*given: Any) -> Any:
        beside = Thread(target=look)
        beside.start()
        beside.join(0.5)
        return watch(*given)

    def look() -> None:
        autoscaling.evaluate(cloud)
        seen.append(True)

    seen: list[bool] = []
    watch = autoscaling.watch
    monkeypatch.setattr(autoscaling, "watch", watch_late)
    track(client, register(client, endpoint), 10)
    until(lambda: bool(seen))


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


def test_the_lower_bound_holds_at_once_and_when_nobody_asks(cloud: Any, client: Any, endpoint: str) -> None:
    track(client, register(client, endpoint, low=2), 10)
    until(lambda: count(client, endpoint) == 2)
    load(cloud, client, endpoint, 1, minutes=17)
    until(lambda: sounds(client, endpoint, "Low"))
    time.sleep(0.4)
    assert count(client, endpoint) == 2


def test_refusals(client: Any, endpoint: str) -> None:
    with pytest.raises(ClientError, match="Could not find the endpoint"):
        register(client, "nobody")
    resource = register(client, endpoint)
    with pytest.raises(ClientError, match="covers target tracking of"):
        track(client, resource, 10, "SageMakerVariantProvisionedConcurrencyUtilization")
