"""The endpoint in money, its hours and sleeps, and why a rule answers in its place."""

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from millrace.console.environment import Environment
from millrace.console.queries.live import lost_endpoint
from millrace.console.queries.money.endpoint import (
    Fleet,
    endpoint_lines,
)
from millrace.console.queries.reviews import OPEN, SAID, UNKNOWN, why_fallback
from millrace.messages.audit import AuditEvent, EndpointStarted, EndpointStopped, VersionLive
from millrace.messages.envelope import Message
from millrace.names import WorkloadNames
from millrace.state.audit import Record
from millrace.state.pointers import Pointers, ReleasePointers, Version
from millrace.state.table import StateTable
from millrace.workload.prices import usd_per_hour
from tests.console.conftest import DEV, make_machines
from tests.state_table import create_table

FIRST = datetime(2026, 11, 1, tzinfo=UTC)
END = FIRST + timedelta(days=10)
USD = usd_per_hour("ml.m5.large")


def at(hours: float) -> datetime:
    return FIRST + timedelta(hours=hours)


def record(event: AuditEvent, details: Message) -> Record:
    return Record(actor="sweep", execution_arn="a", event=event, as_of=FIRST, cause="c", details=details)


def stop(hours: float) -> Record:
    details = EndpointStopped(version="3", instance="ml.m5.large", instances=2, stopped_at=at(hours))
    return record(AuditEvent.ENDPOINT_STOPPED, details)


def start(stopped: float, started: float) -> Record:
    given = {"version": "3", "instance": "ml.m5.large", "instances": 2, "stopped_at": at(stopped)}
    details = EndpointStarted(**given, asked_at=at(started), started_at=at(started))
    return record(AuditEvent.ENDPOINT_STARTED, details)


LIVE = record(
    AuditEvent.RELEASE_LIVE,
    VersionLive(version="3", revision=1, watched_requests=0, live_at=at(0), endpoint_config="c"),
)


@pytest.mark.parametrize(
    ("records", "hours"),
    [
        ([], 240),
        ([stop(10), start(10, 24)], 226),
        ([stop(200)], 200),
        ([stop(-20), start(-20, 5)], 235),
        ([stop(-20), start(-20, -5)], 240),
        ([stop(10), start(10, 24), stop(50), start(50, 51), stop(230)], 215),
        # A sweep that failed after it had stopped the endpoint.
        ([start(10, 24)], 226),
    ],
)
def test_a_sleep_from_stop_to_start_is_not_paid(records: list[Record], hours: float) -> None:
    fleet = Fleet(instance="ml.m5.large", count=2, created=FIRST)
    (line,) = endpoint_lines(fleet, FIRST, END, [LIVE, *records])
    assert line.count == 2 * hours
    assert line.usd == pytest.approx(2 * USD * hours)


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
