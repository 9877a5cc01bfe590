"""The endpoint in money, its hours, that it is lost, and why a rule answers in its place."""

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from millrace.console.environment import Environment
from millrace.console.queries.live import lost_endpoint
from millrace.console.queries.money.work import Fleet, endpoint_lines
from millrace.console.queries.reviews import OPEN, SAID, UNKNOWN, why_fallback
from millrace.names import WorkloadNames
from millrace.state.pointers import Pointers, ReleasePointers, Version
from millrace.state.table import StateTable
from millrace.workload.prices import usd_per_hour
from tests.console.conftest import DEV, make_machines
from tests.state_table import create_table

FIRST = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.mark.parametrize(("made", "hours"), [(-20, 240), (200, 40), (240, 0)])
def test_an_endpoint_is_paid_from_when_it_was_made(made: int, hours: int) -> None:
    fleet = Fleet(instance="ml.m5.large", count=2, created=FIRST + timedelta(hours=made))
    lines = endpoint_lines(fleet, FIRST, FIRST + timedelta(days=10))
    usd = pytest.approx(2 * hours * usd_per_hour("ml.m5.large"))
    assert [(line.count, line.usd) for line in lines] == [(2 * hours, usd)] * (hours > 0)


NAMES = WorkloadNames(platform=DEV, workload="electricity")
GROUP = f"/aws/lambda/{NAMES.function('prediction')}"


def put_live(environment: Environment) -> None:
    table = StateTable(environment.client("dynamodb"), NAMES)
    live = Version(package_arn="arn", version="3", model_name="m", run="r", baseline_uri="s3://b/k")
    ReleasePointers(table).move(Pointers().with_live(live))


def put_log(environment: Environment, *entries: tuple[str, str, str]) -> None:
    logs, now = environment.client("logs"), int(time.time() * 1000)
    logs.create_log_group(logGroupName=GROUP)
    logs.create_log_stream(logGroupName=GROUP, logStreamName="a")
    lines = [json.dumps({"message": message, "error": error, "reason": reason}) for message, error, reason in entries]
    events = [{"timestamp": now + at, "message": line} for at, line in enumerate(lines)]
    logs.put_log_events(logGroupName=GROUP, logStreamName="a", logEvents=events)


def test_before_a_release_what_is_on_its_way_to_one_is_named(environment: Environment) -> None:
    create_table(environment.client("dynamodb"), DEV.state_table)
    states = environment.client("stepfunctions")
    make_machines(environment, NAMES, "train", "release")
    states.start_execution(stateMachineArn=NAMES.machine_arn("train"), name="0123abcd-first")
    assert why_fallback(environment, NAMES) == "no model is live yet, train 0123abcd is on the way to one"


def test_the_last_reason_of_the_live_version_is_told_and_not_that_its_circuit_is_open(environment: Environment) -> None:
    create_table(environment.client("dynamodb"), DEV.state_table)
    put_live(environment)
    put_log(
        environment,
        (SAID, "AnswerError", "expected JSON"),
        (SAID, "ModelError", "400: unknown field 'x'"),
        (SAID, "AnswerError", f"{OPEN} since 12:00"),
        ("all is well", "none", "none"),
    )
    said = "version 3 is live, but its endpoint gave no answer: ModelError: 400: unknown field 'x'"
    assert why_fallback(environment, NAMES) == said


def test_without_the_right_to_read_either_may_be(environment: Environment) -> None:
    assert why_fallback(environment, NAMES) == UNKNOWN


def test_the_words_are_those_of_the_function() -> None:
    decisions = Path(__file__).resolve().parents[3] / "millrace" / "decisions"
    assert f'"{SAID}"' in (decisions / "online.py").read_text()
    assert f'f"{OPEN} ' in (decisions / "endpoint.py").read_text()


@pytest.mark.parametrize(("status", "is_told"), [("InService", False), ("Failed", True), (None, True)])
def test_a_live_version_whose_endpoint_is_lost_is_told_with_the_command(status: str | None, is_told: bool) -> None:
    class SageMaker:
        def describe_endpoint(self, *, EndpointName: str) -> dict[str, str]:
            if status is None:
                answer: Any = {"Error": {"Code": "ValidationException", "Message": "Could not find endpoint"}}
                raise ClientError(answer, "DescribeEndpoint")
            return {"EndpointName": EndpointName, "EndpointStatus": status}

    environment = Environment(platform=DEV, client=lambda _: SageMaker())
    command = "millrace rollback --restore --workload electricity --stage dev"
    assert (command in lost_endpoint(environment, NAMES)) is is_told
