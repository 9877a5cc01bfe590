"""The alarms of a release, as its machine makes them: one bad request rolls nothing back, a bad version does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import pytest

from localcloud.cloudwatch.metrics import Metrics
from millrace.infra.context import Context
from millrace.infra.machines import release_alarms
from millrace.infra.settings import settings_for
from millrace.workload.load import load_workload
from tests.infra.machines.contexts import FOLDER

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


def next_minute(cloud: Any) -> None:
    """To its middle, so that a slow machine does not come into the one after it."""
    now = cloud.clock.now()
    cloud.clock.move(now.replace(second=0, microsecond=0) + timedelta(seconds=80))


SLOW_US, FAST_US = 300_000.0, 5_000.0


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
        next_minute(cloud)
        late, wrong = (slow, failed) if minute < minutes else (0, 0)
        measured(cloud, name, config, "ModelLatency", {SLOW_US: late, FAST_US: requests - late})
        measured(cloud, name, config, "Invocation5XXErrors", {1.0: wrong, 0.0: requests - wrong})
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
