"""The endpoint in money, its hours, that it is lost, and why a rule answers in its place."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from millrace.console.environment import Environment
from millrace.console.queries.live import UNKNOWN, lost_endpoint, why_fallback
from millrace.console.queries.money.work import Fleet, endpoint_lines
from millrace.names import WorkloadNames
from millrace.state.pointers import Pointers, ReleasePointers, Version
from millrace.state.table import StateTable
from millrace.workload.prices import usd_per_hour
from tests.console.conftest import DEV
from tests.state_table import create_table

FIRST = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.mark.parametrize(("made", "hours"), [(-20, 240), (200, 40), (240, 0)])
def test_an_endpoint_is_paid_from_when_it_was_made(made: int, hours: int) -> None:
    fleet = Fleet(instance="ml.m5.large", count=2, created=FIRST + timedelta(hours=made))
    lines = endpoint_lines(fleet, FIRST, FIRST + timedelta(days=10))
    usd = pytest.approx(2 * hours * usd_per_hour("ml.m5.large"))
    assert [(line.count, line.usd) for line in lines] == [(2 * hours, usd)] * (hours > 0)


NAMES = WorkloadNames(platform=DEV, workload="electricity")


def test_before_a_release_no_endpoint_is_blamed(environment: Environment) -> None:
    create_table(environment.client("dynamodb"), DEV.state_table)
    assert why_fallback(environment, NAMES).startswith("no model is live yet")


def test_without_the_right_to_read_either_may_be(environment: Environment) -> None:
    assert why_fallback(environment, NAMES) == UNKNOWN


@pytest.mark.parametrize(("status", "is_told"), [("InService", False), ("Failed", True), (None, True)])
def test_a_live_version_whose_endpoint_is_lost_is_told_with_the_command(
    environment: Environment, status: str | None, is_told: bool
) -> None:
    class SageMaker:
        def describe_endpoint(self, *, EndpointName: str) -> dict[str, str]:
            if status is None:
                answer: Any = {"Error": {"Code": "ValidationException", "Message": "Could not find endpoint"}}
                raise ClientError(answer, "DescribeEndpoint")
            return {"EndpointName": EndpointName, "EndpointStatus": status}

    create_table(environment.client("dynamodb"), DEV.state_table)
    live = Version(package_arn="arn", version="3", model_name="m", run="r", baseline_uri="s3://b/k")
    ReleasePointers(StateTable(environment.client("dynamodb"), NAMES)).move(Pointers().with_live(live))
    lost = replace(environment, client=lambda name: SageMaker() if name == "sagemaker" else environment.client(name))
    command = "millrace rollback --restore --workload electricity --stage dev"
    assert (command in lost_endpoint(lost, NAMES)) is is_told
    said = why_fallback(lost, NAMES)
    assert said.startswith("version 3 is live, but ")
    assert (command in said) is is_told
