"""What a workload costs while nothing happens, of what its templates and its release make."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from moto import mock_aws

from console.queries.standing_cost import find_alarms, find_ready, metrics_of, standing
from infra.rules.assembly import Stack, read, tasks
from millrace.names import Platform, WorkloadNames
from millrace.operations.alarms import ALARMS, ENDPOINT_ALARMS
from tests.alarm import put_alarm
from tests.infra.conftest import ELECTRICITY, synthesized

NAMES = WorkloadNames(
    platform=Platform(stage="dev", account="123456789012", region="eu-west-1"), workload="electricity"
)
KEYS = {"aws_access_key_id": "local", "aws_secret_access_key": "local"}
MOST_USD = 1.00
"""Of a workload without an endpoint."""
OF_SCALING = 2
"""Alarms by which target tracking scales an endpoint; no task makes them."""


@pytest.fixture(scope="module")
def stacks(tmp_path_factory: pytest.TempPathFactory) -> list[Stack]:
    found = read(synthesized("dev", [ELECTRICITY], tmp_path_factory.mktemp("standing")))
    return [stack for stack in found if not stack.name.endswith(("-platform", "-audit"))]


def of_kind(stacks: list[Stack], kind: str) -> list[Any]:
    return [resource.properties for stack in stacks for resource in stack.resources(kind)]


def test_without_an_endpoint_it_is_below_a_dollar(stacks: list[Stack]) -> None:
    alarms = of_kind(stacks, "AWS::CloudWatch::Alarm")
    assert {one["AlarmName"] for one in alarms} == {NAMES.alarm(name) for name in ALARMS}
    lines = standing(
        queue_metrics=sum(map(metrics_of, alarms)),
        endpoint_metrics=0,
        composites=len(of_kind(stacks, "AWS::CloudWatch::CompositeAlarm")),
        dashboards=len(of_kind(stacks, "AWS::CloudWatch::Dashboard")),
        polled=len(of_kind(stacks, "AWS::Lambda::EventSourceMapping")),
    )
    assert [(line.what, line.count, round(line.usd, 2)) for line in lines] == [
        ("queues that functions poll", 2, 0.52),
        ("metrics that alarms on queues read", 3, 0.30),
    ]
    assert sum(line.usd for line in lines) <= MOST_USD
    # The control: with the alarms of an endpoint it would not be.
    above = standing(queue_metrics=3 + len(ENDPOINT_ALARMS), endpoint_metrics=0, composites=0, dashboards=0, polled=2)
    assert sum(line.usd for line in above) > MOST_USD


def test_an_endpoint_adds_its_alarms_and_its_dashboard(stacks: list[Stack]) -> None:
    made = [task.parameters for task in tasks(stacks, "putMetricAlarm") if "AlarmName" in task.parameters]
    lines = standing(queue_metrics=0, endpoint_metrics=sum(map(metrics_of, made)), composites=1, dashboards=1, polled=0)
    assert [(line.count, round(line.usd, 2)) for line in lines] == [(11, 1.10), (1, 0.50), (1, 3.00)]
    assert all(line.with_endpoint for line in lines)
    # Five dashboards in the account, of which two are paid: each workload has its fifth of these.
    (shared,) = standing(queue_metrics=0, endpoint_metrics=0, composites=0, dashboards=2 / 5, polled=0)
    assert (shared.count, round(shared.usd, 2)) == (1, 1.20)


def test_the_alarms_of_target_tracking_count_and_those_of_others_do_not() -> None:
    with mock_aws():
        cloudwatch = boto3.client("cloudwatch", region_name="eu-west-1", **KEYS)
        scaling = (f"TargetTracking-endpoint/{name}/variant/main-AlarmHigh-1" for name in (NAMES.endpoint, "others"))
        for name in (NAMES.alarm("serving"), *scaling):
            put_alarm(cloudwatch, name, Namespace="AWS/SageMaker", MetricName="m", TreatMissingData="missing")
        metric, composite = find_alarms(cloudwatch, NAMES)
    assert [one["AlarmName"] for one in metric] == [
        NAMES.alarm("serving"),
        f"TargetTracking-endpoint/{NAMES.endpoint}/variant/main-AlarmHigh-1",
    ]
    assert composite == []


@pytest.fixture
def client() -> Iterator[tuple[Any, Stubber]]:
    """Moto knows no provisioned concurrency."""
    made = boto3.client("lambda", region_name="eu-west-1", **KEYS)
    with Stubber(made) as stubber:
        yield made, stubber


@pytest.mark.parametrize(
    ("snapstart", "provisioned", "line"),
    [
        ("On", 0, ("snapshots of the prediction function", 1, 3.90)),
        ("Off", 2, ("prediction functions kept started", 2, 17.28)),
    ],
)
def test_a_function_that_is_kept_ready_costs_by_its_memory(
    client: tuple[Any, Stubber], snapstart: str, provisioned: int, line: tuple[str, int, float]
) -> None:
    made, stubber = client
    function = {"FunctionName": "millrace-dev-electricity-prediction"}
    stubber.add_response("get_alias", {"FunctionVersion": "7"}, {**function, "Name": "live"})
    configuration = {
        "MemorySize": 1024,
        "SnapStart": {"ApplyOn": "PublishedVersions", "OptimizationStatus": snapstart},
    }
    stubber.add_response("get_function_configuration", configuration, {**function, "Qualifier": "7"})
    if provisioned:
        kept = {"RequestedProvisionedConcurrentExecutions": provisioned}
        stubber.add_response("get_provisioned_concurrency_config", kept, {**function, "Qualifier": "live"})
    else:
        stubber.add_client_error(
            "get_provisioned_concurrency_config", "ProvisionedConcurrencyConfigNotFoundException", http_status_code=404
        )
    lines = standing(
        queue_metrics=0, endpoint_metrics=0, composites=0, dashboards=0, polled=0, ready=find_ready(made, NAMES)
    )
    assert [(one.what, one.count, round(one.usd, 2)) for one in lines] == [line]


def test_without_an_alias_nothing_is_kept(client: tuple[Any, Stubber]) -> None:
    made, stubber = client
    stubber.add_client_error("get_alias", "ResourceNotFoundException", http_status_code=404)
    assert find_ready(made, NAMES) is None
