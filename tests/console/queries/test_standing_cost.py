"""What a workload costs while nothing happens, of what its templates and its release make."""

from __future__ import annotations

from typing import Any

import pytest

from console.queries.standing_cost import metrics_of, standing
from infra.rules.assembly import Stack, read, tasks
from millrace.names import Platform, WorkloadNames
from millrace.operations.alarms import ALARMS, ENDPOINT_ALARMS
from tests.infra.conftest import ELECTRICITY, synthesized

NAMES = WorkloadNames(
    platform=Platform(stage="dev", account="123456789012", region="eu-west-1"), workload="electricity"
)
MOST_USD = 1.00
"""Of a workload without an endpoint."""


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
    assert [(line.count, round(line.usd, 2)) for line in lines] == [(10, 1.00), (1, 0.50), (1, 3.00)]
    assert all(line.with_endpoint for line in lines)
