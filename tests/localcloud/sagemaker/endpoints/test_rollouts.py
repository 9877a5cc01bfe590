"""Blue/green updates: shares, alarms that bring the old fleet back, no request lost, counts that are kept."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, Self

import pytest
from botocore.exceptions import ClientError

from localcloud.sagemaker.endpoints.endpoint import endpoints
from tests.localcloud.sagemaker.endpoints.reading import metric, settled
from tests.localcloud.waiting import until

CANARY = {
    "TrafficRoutingConfiguration": {
        "Type": "CANARY",
        "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 50},
        "WaitIntervalInSeconds": 600,
    },
    "TerminationWaitInSeconds": 0,
}


def test_a_canary_gets_its_share_and_then_everything(
    config: Any, endpoint: Any, call: Any, sagemaker: Any, cloud: Any, client: Any
) -> None:
    name, after = endpoint(config(count=2)), config(("2", 1.0), count=2)
    sagemaker.update_endpoint(
        EndpointName=name, EndpointConfigName=after, DeploymentConfig={"BlueGreenUpdatePolicy": CANARY}
    )
    shared(cloud, name)
    seen = Counter(call(name)["version"] for _ in range(60))
    assert 15 <= seen["2"] <= 45
    assert metric(client, cloud, "Invocations", name, EndpointConfigName=after)["Sum"] == seen["2"]
    assert sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"] == "Updating"
    with pytest.raises(ClientError, match="Cannot update in-progress endpoint"):
        sagemaker.delete_endpoint(EndpointName=name)
    cloud.clock.move(cloud.clock.now() + timedelta(seconds=1300))
    told = settled(sagemaker, name)
    assert told["EndpointConfigName"] == after
    assert {call(name)["version"] for _ in range(10)} == {"2"}


def shared(cloud: Any, name: str) -> None:
    """Return when the green fleet takes traffic."""
    until(lambda: endpoints(cloud)[name].green is not None and endpoints(cloud)[name].green_share)


class Callers:
    """Four that ask an endpoint all the time, and what became of their requests."""

    def __init__(self, call: Callable[..., dict[str, Any]], name: str) -> None:
        self._call, self._name, self._over = call, name, threading.Event()
        self.versions: list[str] = []
        self.failures: list[ClientError] = []

    def __enter__(self) -> Self:
        self._pool = ThreadPoolExecutor(4)
        self._done = [self._pool.submit(self._ask) for _ in range(4)]
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._pool.shutdown()
        for done in self._done:
            done.result()

    def _ask(self) -> None:
        while not self._over.is_set():
            try:
                self.versions.append(self._call(self._name)["version"])
            except ClientError as error:
                self.failures.append(error)

    def next(self, count: int = 20) -> list[str]:
        """The versions that answer the next requests."""
        before = len(self.versions)
        until(lambda: len(self.versions) >= before + count)
        return self.versions[before:]


ERRORS = {"MetricName": "Invocation5XXErrors", "Statistic": "Sum", "Threshold": 0}
SLOW_US = 150_000
LATENCY = {"MetricName": "ModelLatency", "ExtendedStatistic": "p99", "Threshold": SLOW_US, "Unit": "Microseconds"}


@pytest.mark.parametrize(
    ("canary", "watched", "fails"),
    [({"SECONDS": "0.3"}, LATENCY, False), ({"BROKEN": "1"}, ERRORS, True)],
    ids=["slow", "broken"],
)
def test_an_alarm_on_the_canary_brings_the_old_fleet_back(
    config: Any,
    endpoint: Any,
    call: Any,
    sagemaker: Any,
    client: Any,
    fresh: Any,
    canary: dict[str, str],
    watched: dict[str, Any],
    fails: bool,
) -> None:
    """The alarm looks at the new fleet only, goes off by what it measures, and nobody sets it.

    A slow canary fails no request. A broken one fails those it gets, as on AWS, and none after the rollback."""
    before, after, alarm = config(count=2), config(("2", 1.0), count=2, environment=canary), fresh("alarm")
    name = endpoint(before)
    client("cloudwatch").put_metric_alarm(
        AlarmName=alarm,
        Namespace="AWS/SageMaker",
        Dimensions=[
            {"Name": "EndpointName", "Value": name},
            {"Name": "VariantName", "Value": "main"},
            {"Name": "EndpointConfigName", "Value": after},
        ],
        Period=60,
        EvaluationPeriods=1,
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="notBreaching",
        **watched,
    )
    with Callers(call, name) as callers:
        sagemaker.update_endpoint(
            EndpointName=name,
            EndpointConfigName=after,
            DeploymentConfig={
                "BlueGreenUpdatePolicy": CANARY,
                "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": alarm}]},
            },
        )
        told = settled(sagemaker, name)
        failed = len(callers.failures)
        assert set(callers.next()[4:]) == {"1"}  # the first may have been on their way
    assert told["EndpointConfigName"] == before
    assert alarm in told["FailureReason"]
    state = client("cloudwatch").describe_alarms(AlarmNames=[alarm])["MetricAlarms"][0]
    assert (state["StateValue"], state["StateReason"][:17]) == ("ALARM", "Threshold Crossed")
    assert bool(failed) is fails
    assert ("2" in callers.versions) is not fails
    assert {error.response["OriginalStatusCode"] for error in callers.failures} == ({500} if fails else set())
    assert len(callers.failures) <= failed + 4


def test_an_update_that_cannot_start_leaves_the_old_fleet(
    config: Any, endpoint: Any, call: Any, sagemaker: Any
) -> None:
    name = endpoint(config())
    sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=config(environment={"CRASH": "1"}))
    told = settled(sagemaker, name)
    assert "ping health check" in told["FailureReason"]
    assert call(name)["version"] == "1"


def test_no_request_is_lost_during_an_update(config: Any, endpoint: Any, call: Any, sagemaker: Any) -> None:
    name = endpoint(config())
    with ThreadPoolExecutor(4) as pool:
        sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=config(("2", 1.0)))
        seen: list[str] = []
        while "2" not in seen:
            seen += [told["version"] for told in pool.map(lambda _: call(name, b"slow"), range(4))]
        seen += [told["version"] for told in pool.map(lambda _: call(name), range(20))]
    assert set(seen[-20:]) == {"2"}


def test_a_canary_needs_two_instances(config: Any, endpoint: Any, sagemaker: Any) -> None:
    with pytest.raises(ClientError, match="50 %"):
        sagemaker.update_endpoint(
            EndpointName=endpoint(config()),
            EndpointConfigName=config(),
            DeploymentConfig={"BlueGreenUpdatePolicy": CANARY},
        )


def test_retained_properties(config: Any, endpoint: Any, sagemaker: Any) -> None:
    name = endpoint(config())
    scaled = [{"VariantName": "main", "DesiredInstanceCount": 2}]
    sagemaker.update_endpoint_weights_and_capacities(EndpointName=name, DesiredWeightsAndCapacities=scaled)
    assert settled(sagemaker, name)["ProductionVariants"][0]["CurrentInstanceCount"] == 2
    sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=config(), RetainAllVariantProperties=True)
    assert settled(sagemaker, name)["ProductionVariants"][0]["CurrentInstanceCount"] == 2
    sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=config())
    assert settled(sagemaker, name)["ProductionVariants"][0]["CurrentInstanceCount"] == 1
