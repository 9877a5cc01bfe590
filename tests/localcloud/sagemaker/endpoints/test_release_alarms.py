"""The alarms of a release, as its machine makes them: one bad request rolls nothing back, a bad version does."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud.cloudwatch.alarms import Alarms
from localcloud.cloudwatch.metrics import Metrics
from localcloud.sagemaker.endpoints.endpoint import endpoints
from millrace.infra.context import Context
from millrace.infra.machines import release_alarms
from millrace.infra.settings import settings_for
from millrace.workload.load import load_workload
from tests.infra.machines.contexts import FOLDER
from tests.localcloud.sagemaker.endpoints.reading import settled
from tests.localcloud.waiting import until

BOUND_MS = 200.0
"""Of the gate; the tiny image answers `slow` after 400 ms."""
WATCHED_S = 600
SEEN_S = 0.1
"""Within it a deployment has looked at its alarms, which it does all the time."""

Minutes = Sequence[Sequence[str]]
"""The bodies of the requests, minute by minute."""


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


def next_minute(cloud: Any) -> None:
    """To its middle, so that a slow machine does not come into the one after it."""
    now = cloud.clock.now()
    cloud.clock.move(now.replace(second=0, microsecond=0) + timedelta(seconds=80))


@pytest.mark.parametrize(
    ("minutes", "raised"),
    [
        ([["slow", "", ""], ["", "", ""], ["", "", ""]], ""),
        ([["slow"], [""], [""]], ""),
        ([["broken"], [""], [""]], ""),
        ([["slow", "slow", ""], ["slow", "slow", ""]], "latency"),
        ([["slow"], [""], ["slow"]], "latency"),
        ([["broken", ""], ["", ""], ["broken", ""]], "errors"),
    ],
    ids=["one slow", "one slow, one a minute", "one failed", "slow", "slow, one a minute", "failing"],
)
def test_a_release_is_judged_by_two_minutes(
    config: Any,
    endpoint: Any,
    call: Any,
    sagemaker: Any,
    cloud: Any,
    watch: Any,
    minutes: Minutes,
    raised: str,
) -> None:
    before, after = config(), config(("2", 1.0))
    name = endpoint(before)
    alarms = watch(name, after)
    policy = {
        "TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0},
        "TerminationWaitInSeconds": WATCHED_S,
    }
    rollback = {"Alarms": [{"AlarmName": alarm} for alarm in alarms]}
    sagemaker.update_endpoint(
        EndpointName=name,
        EndpointConfigName=after,
        DeploymentConfig={"BlueGreenUpdatePolicy": policy, "AutoRollbackConfiguration": rollback},
    )
    until(lambda: endpoints(cloud)[name].green is not None and endpoints(cloud)[name].green_share)
    for bodies in minutes:
        next_minute(cloud)
        for body in bodies:
            answer(call, name, body)
        cloud.parts[Alarms].evaluate()
        time.sleep(SEEN_S)
    if not raised:
        cloud.clock.move(cloud.clock.now() + timedelta(seconds=WATCHED_S))
    told = settled(sagemaker, name)
    assert told["EndpointConfigName"] == (before if raised else after)
    assert told.get("FailureReason", "").endswith(f"{after}-{raised}" if raised else "")


def answer(call: Any, name: str, body: str) -> None:
    if body == "broken":
        with pytest.raises(ClientError):
            call(name, body.encode())
    else:
        call(name, body.encode())


SLOW_US, FAST_US = 300_000.0, 5_000.0


@pytest.mark.parametrize(
    ("requests", "slow", "failed", "raised"),
    [
        (2000, 15, 0, []),
        (2000, 25, 0, ["latency"]),
        (500, 40, 0, []),
        (500, 60, 0, ["latency"]),
        (50, 20, 0, []),
        (50, 30, 0, ["latency"]),
        (2000, 0, 15, []),
        (2000, 0, 25, ["errors"]),
    ],
)
def test_the_percentile_fits_the_requests_of_a_minute(
    cloud: Any, client: Any, fresh: Any, watch: Any, requests: int, slow: int, failed: int, raised: list[str]
) -> None:
    """Above 1,000 requests one of a hundred counts, above 100 one of ten, below that every second."""
    name, config = fresh("endpoint"), fresh("config")
    alarms = watch(name, config)
    for _ in range(release_alarms.BREACHING):
        next_minute(cloud)
        measured(cloud, name, config, "ModelLatency", {SLOW_US: slow, FAST_US: requests - slow})
        measured(cloud, name, config, "Invocation5XXErrors", {1.0: failed, 0.0: requests - failed})
    cloud.clock.move(cloud.clock.now() + timedelta(seconds=1))
    states = client("cloudwatch").describe_alarms(AlarmNames=alarms)["MetricAlarms"]
    found = [one["AlarmName"].rpartition("-")[2] for one in states if one["StateValue"] == "ALARM"]
    assert found == raised


def measured(cloud: Any, name: str, config: str, metric: str, counts: Mapping[float, int]) -> None:
    """So many requests with each value, by the new fleet."""
    dimensions = {"EndpointName": name, "VariantName": "main", "EndpointConfigName": config}
    some = {value: count for value, count in counts.items() if count}
    datum = {
        "MetricName": metric,
        "Dimensions": [{"Name": key, "Value": value} for key, value in dimensions.items()],
        "Values": list(some),
        "Counts": list(some.values()),
    }
    cloud.parts[Metrics].keep("AWS/SageMaker", [datum])
