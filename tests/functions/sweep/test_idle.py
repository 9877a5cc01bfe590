"""The sweep of a workload whose endpoint sleeps while nobody asks it."""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import boto3
import pytest

from millrace.messages.audit import AuditEvent
from millrace.names import VARIANT
from millrace.state.asleep import Asleep
from millrace.state.pointers import Pointers
from millrace.timestamps import format_utc, parse_utc
from tests.builders import version
from tests.functions.cold_start import NAMES

HOURS = 8
NOW = parse_utc("2026-06-01T07:00:00Z")
TARGET = {
    "ServiceNamespace": "sagemaker",
    "ResourceId": f"endpoint/{NAMES.endpoint}/variant/{VARIANT}",
    "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
}


class Clocked:
    """moto's SageMaker, whose endpoint was made and changed at a time of the test's own."""

    def __init__(self, client: Any) -> None:
        self.client, self.at = client, NOW - timedelta(days=3)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)

    def describe_endpoint(self, **given: Any) -> Any:
        found = self.client.describe_endpoint(**given)
        found["ProductionVariants"] = [{"VariantName": VARIANT, "CurrentInstanceCount": 2}]
        return found | {"CreationTime": self.at, "LastModifiedTime": self.at}


@pytest.fixture
def endpoint(aws: Any) -> Clocked:
    """Version 3 is live at an endpoint of two instances, and scaled."""
    aws.endpoint(aws.names.endpoint, model="m3", config="config-3")
    aws.pointers.move(Pointers(champion=version("3", model_name="m3")))
    boto3.client("application-autoscaling").register_scalable_target(**TARGET, MinCapacity=1, MaxCapacity=4)
    return Clocked(aws.sagemaker)


@pytest.fixture
def sweep(load: Any, event: Any, endpoint: Clocked, declare: Any) -> Any:
    """`sweep(hours=1)`: the sweep of that hour."""
    idle = f"idle: {{stop_after_hours: {HOURS}, start_at: cron(0 6 ? * MON *)}}"
    declare({"  phases: [live]\n": f"  phases: [live]\n  {idle}\n"})
    handler = load("sweep")
    module = sys.modules["millrace.functions.sweep.handler"]
    module.SLEEP = replace(module.SLEEP, sagemaker=endpoint)

    return lambda hours=0: handler(event("sweep", as_of=format_utc(NOW + timedelta(hours=hours))))


def stands(aws: Any) -> bool:
    return bool(aws.sagemaker.list_endpoints()["Endpoints"])


def targets() -> list[Any]:
    found = boto3.client("application-autoscaling").describe_scalable_targets(ServiceNamespace="sagemaker")
    return list(found["ScalableTargets"])


def request(aws: Any, at: datetime) -> None:
    dimensions = [{"Name": "EndpointName", "Value": aws.names.endpoint}, {"Name": "VariantName", "Value": VARIANT}]
    datum = {"MetricName": "Invocations", "Dimensions": dimensions, "Timestamp": at, "Value": 1}
    boto3.client("cloudwatch").put_metric_data(Namespace="AWS/SageMaker", MetricData=[datum])


def test_an_endpoint_without_a_request_is_stopped(aws: Any, sweep: Any) -> None:
    request(aws, NOW - timedelta(hours=HOURS, minutes=61))
    sweep()
    assert (stands(aws), targets(), aws.leases.find("release")) == (False, [], None)
    assert Asleep.find(aws.state) == Asleep(
        version="3", config="config-3", instance="ml.m5.large", instances=2, since=NOW
    )
    (record,) = aws.audit()
    assert (record["event"], record["details"]["instances"]) == (AuditEvent.ENDPOINT_STOPPED, 2)
    assert aws.sagemaker.describe_endpoint_config(EndpointConfigName="config-3")
    sweep(1)
    assert len(aws.audit()) == 1


@pytest.mark.parametrize("before", [timedelta(hours=HOURS - 1), timedelta(minutes=1), timedelta(minutes=-20)], ids=str)
def test_a_request_keeps_it_also_one_that_comes_while_the_sweep_is_late(
    before: timedelta, aws: Any, sweep: Any
) -> None:
    request(aws, NOW - before)
    sweep()
    assert (stands(aws), Asleep.find(aws.state), aws.audit()) == (True, None, [])


def test_an_endpoint_that_has_just_changed_stays(aws: Any, sweep: Any, endpoint: Clocked) -> None:
    endpoint.at = NOW - timedelta(hours=HOURS - 1)
    sweep()
    assert stands(aws)
    sweep(1)
    assert not stands(aws)


def test_nothing_is_stopped_while_a_release_runs_or_another_version_serves(aws: Any, sweep: Any) -> None:
    until = NOW + timedelta(days=60)
    # A lease that a running execution has would stay; this one has none, and its first sweep only marks it.
    aws.leases.take("release", holder=aws.names.execution_arn("release", "r1"), as_of=NOW, expires_at=until)
    sweep()
    aws.leases.free(aws.names.execution_arn("release", "r1"))
    champion = aws.pointers.read()
    aws.pointers.move(replace(champion, champion=replace(champion.champion, model_name="another")))
    found, scaling = sys.modules["millrace.functions.sweep.handler"].SLEEP, boto3.client("application-autoscaling")
    assert not found.begin(boto3.client("cloudwatch"), scaling, hours=HOURS, cause="c", as_of=NOW)
    assert (stands(aws), Asleep.find(aws.state)) == (True, None)
    aws.pointers.move(replace(champion, revision=champion.revision + 1))
    sweep(2)
    assert not stands(aws)


def test_a_sweep_that_is_interrupted_is_done_again_or_taken_back(aws: Any, sweep: Any) -> None:
    """It has written the item and not deleted the endpoint."""
    found = Asleep(version="3", config="config-3", instance="ml.m5.large", instances=2, since=NOW)
    found.put(aws.state)
    request(aws, NOW + timedelta(minutes=5))
    sweep(1)
    assert (stands(aws), Asleep.find(aws.state), aws.audit()) == (True, None, [])
    found.put(aws.state)
    sweep(HOURS + 2)
    assert not stands(aws)
