"""Blue/green updates: alarms that bring the old fleet back, no request lost, counts that are kept."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, Self

import pytest
from botocore.exceptions import ClientError

from localcloud.cloudwatch.metrics import Metrics
from localcloud.sagemaker.endpoints.endpoint import endpoints
from millrace.infra.context import Context
from millrace.infra.machines import release_alarms
from millrace.infra.settings import settings_for
from millrace.workload.load import load_workload
from tests.infra.machines.contexts import FOLDER
from tests.localcloud.sagemaker.endpoints.reading import metric, settled
from tests.localcloud.waiting import until

WATCHED = {
    "TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0},
    "TerminationWaitInSeconds": 600,
}


def test_the_new_fleet_gets_everything_and_is_watched(
    config: Any, endpoint: Any, call: Any, sagemaker: Any, cloud: Any, client: Any
) -> None:
    name, after = endpoint(config()), config("2")
    sagemaker.update_endpoint(
        EndpointName=name, EndpointConfigName=after, DeploymentConfig={"BlueGreenUpdatePolicy": WATCHED}
    )
    until(lambda: endpoints(cloud)[name].green)
    assert {call(name)["version"] for _ in range(10)} == {"2"}
    assert metric(client, cloud, "Invocations", name, EndpointConfigName=after)["Sum"] == 10
    assert sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"] == "Updating"
    with pytest.raises(ClientError, match="Cannot update in-progress endpoint"):
        sagemaker.delete_endpoint(EndpointName=name)
    cloud.clock.move(cloud.clock.now() + timedelta(seconds=700))
    assert settled(sagemaker, name)["EndpointConfigName"] == after
    assert {call(name)["version"] for _ in range(10)} == {"2"}


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
    ("environment", "watched", "fails"),
    [({"SECONDS": "0.3"}, LATENCY, False), ({"BROKEN": "1"}, ERRORS, True)],
    ids=["slow", "broken"],
)
def test_an_alarm_on_the_new_fleet_brings_the_old_fleet_back(
    config: Any,
    endpoint: Any,
    call: Any,
    sagemaker: Any,
    client: Any,
    fresh: Any,
    environment: dict[str, str],
    watched: dict[str, Any],
    fails: bool,
) -> None:
    """The alarm looks at the new fleet only, goes off by what it measures, and nobody sets it.

    A slow fleet fails no request. A broken one fails those it gets, as on AWS, and none after the rollback."""
    before, after, alarm = config(), config("2", environment=environment), fresh("alarm")
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
                "BlueGreenUpdatePolicy": WATCHED,
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
        sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=config("2"))
        seen: list[str] = []
        while "2" not in seen:
            seen += [told["version"] for told in pool.map(lambda _: call(name, b"slow"), range(4))]
        seen += [told["version"] for told in pool.map(lambda _: call(name), range(20))]
    assert set(seen[-20:]) == {"2"}


def test_traffic_in_steps_is_refused_by_name(config: Any, endpoint: Any, sagemaker: Any) -> None:
    steps = {"TrafficRoutingConfiguration": {"Type": "CANARY", "WaitIntervalInSeconds": 60}}
    with pytest.raises(ClientError, match="does not cover traffic routing of type CANARY"):
        sagemaker.update_endpoint(
            EndpointName=endpoint(config()),
            EndpointConfigName=config(),
            DeploymentConfig={"BlueGreenUpdatePolicy": steps},
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


BOUND_MS = 200.0
"""Of the gate; the tiny image answers `slow` after 400 ms."""


@pytest.fixture(scope="module")
def context() -> Context:
    workload = load_workload(FOLDER)
    latency = workload.gates.latency.model_copy(update={"max_p99_ms": BOUND_MS})
    gates = workload.gates.model_copy(update={"latency": latency})
    return Context(
        component="release",
        settings=settings_for("prod", account="123456789012", region="eu-west-1"),
        workload=workload.model_copy(update={"gates": gates}),
        folder=FOLDER,
        key_arn="",
        subnet_ids=(),
        security_group_id="",
        images={},
    )


@pytest.fixture
def watch(client: Any, context: Context) -> Callable[[str, str], list[str]]:
    """The names of both alarms of a release, made as its machine makes them for this endpoint and configuration."""

    def make(endpoint: str, config: str) -> list[str]:
        given = {
            "$.live_config.name": config,
            release_alarms.ERRORS_ALARM: f"{config}-errors",
            release_alarms.LATENCY_ALARM: f"{config}-latency",
            context.names.endpoint: endpoint,
        }
        made = (release_alarms.on_errors(context, next_state="-"), release_alarms.on_latency(context, next_state="-"))
        for state in made:
            client("cloudwatch").put_metric_alarm(**filled(state["Parameters"], given))
        return [f"{config}-errors", f"{config}-latency"]

    return make


def filled(value: Any, given: Mapping[str, str]) -> Any:
    """The parameters with what their paths stand for."""
    if isinstance(value, Mapping):
        return {name.removesuffix(".$"): filled(one, given) for name, one in value.items()}
    if isinstance(value, list):
        return [filled(one, given) for one in value]
    return given.get(value, value) if isinstance(value, str) else value


SLOW_US_RELEASE_ALARMS, FAST_US = 300_000.0, 5_000.0


@pytest.mark.parametrize(
    ("requests", "slow", "failed", "minutes", "raised"),
    [
        (2000, 15, 0, 2, []),
        (2000, 25, 0, 2, ["latency"]),
        (500, 40, 0, 2, []),
        (500, 60, 0, 2, ["latency"]),
        (50, 20, 0, 2, []),
        (50, 30, 0, 2, ["latency"]),
        (500, 60, 0, 1, []),
        (2000, 0, 25, 1, []),
        (2000, 0, 15, 2, []),
        (2000, 0, 25, 2, ["errors"]),
    ],
)
def test_the_percentile_fits_the_requests_of_a_minute(
    cloud: Any,
    client: Any,
    fresh: Any,
    watch: Any,
    requests: int,
    slow: int,
    failed: int,
    minutes: int,
    raised: list[str],
) -> None:
    """Above 1,000 requests one of a hundred counts, above 100 one of ten, below that every second; and not in one
    minute alone."""
    name, config = fresh("endpoint"), fresh("config")
    alarms = watch(name, config)
    for minute in range(release_alarms.BREACHING):
        # To its middle, so that a slow machine does not come into the one after it.
        cloud.clock.move(cloud.clock.now().replace(second=0, microsecond=0) + timedelta(seconds=80))
        late, wrong = (slow, failed) if minute < minutes else (0, 0)
        measured(cloud, name, config, "ModelLatency", {SLOW_US_RELEASE_ALARMS: late, FAST_US: requests - late})
        measured(cloud, name, config, "Invocation5XXErrors", {1.0: wrong, 0.0: requests - wrong})
    cloud.clock.move(cloud.clock.now() + timedelta(seconds=1))
    states = client("cloudwatch").describe_alarms(AlarmNames=alarms)["MetricAlarms"]
    found = [one["AlarmName"].rpartition("-")[2] for one in states if one["StateValue"] == "ALARM"]
    assert found == raised


def measured(cloud: Any, name: str, config: str, metric: str, counts: Mapping[float, int]) -> None:
    """So many requests with each value, by the new fleet."""
    dimensions = {"EndpointName": name, "VariantName": "main", "EndpointConfigName": config}
    datum = {
        "MetricName": metric,
        "Dimensions": [{"Name": key, "Value": value} for key, value in dimensions.items()],
        "Values": [value for value, count in counts.items() for _ in range(count)],
    }
    cloud.parts[Metrics].keep("AWS/SageMaker", [datum])
