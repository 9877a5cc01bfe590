"""The endpoint in money: hours and sleeps, what callers asked, how much of it they used, and what would cost less."""

import json
import time
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from millrace.console.environment import Environment
from millrace.console.local_cloud.local_cloud import PLATFORM, REGION
from millrace.console.queries.decisions import Day
from millrace.console.queries.live import lost_endpoint
from millrace.console.queries.money.endpoint import (
    Fleet,
    endpoint_lines,
    find_utilisation,
    sleeps_of,
)
from millrace.console.queries.money.month import Traffic, traffic_of
from millrace.console.queries.reviews import OPEN, SAID, UNKNOWN, why_fallback
from millrace.decisions.record import Decision, canonical
from millrace.messages.audit import AuditEvent, EndpointStarted, EndpointStopped, VersionLive
from millrace.messages.envelope import Message
from millrace.names import VARIANT, WorkloadNames
from millrace.state.audit import Record
from millrace.state.pointers import Pointers, ReleasePointers, Version
from millrace.state.table import StateTable
from millrace.workload.load import load_workload
from millrace.workload.prices import usd_per_hour
from tests import builders
from tests.console.conftest import DEV, make_machines
from tests.credentials import KEYS
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
        ([], []),
        ([stop(10), start(10, 24)], [14]),
        ([stop(200)], [40]),
        ([stop(-20), start(-20, 5)], [5]),
        ([stop(-20), start(-20, -5)], []),
        ([stop(10), start(10, 24), stop(50), start(50, 51)], [14, 1]),
        # A sweep that failed after it had stopped the endpoint.
        ([start(10, 24)], [14]),
    ],
)
def test_a_sleep_is_from_stop_to_start_within_the_period(records: list[Record], hours: list[float]) -> None:
    sleeps = sleeps_of(records, FIRST, END)
    assert [one.hours for one in sleeps] == hours
    assert [one.usd for one in sleeps] == pytest.approx([2 * USD * each for each in hours])


def test_what_was_awake_and_what_was_saved_are_the_whole_period() -> None:
    records = [LIVE, stop(10), start(10, 24), stop(50), start(50, 51), stop(230)]
    (line,) = endpoint_lines(None, FIRST, END, records)
    saved = sum(one.usd for one in sleeps_of(records, FIRST, END))
    assert line.usd + saved == pytest.approx(240 * 2 * USD)


NAMES = WorkloadNames(platform=PLATFORM, workload="electricity")
WORKLOAD = load_workload(Path("workloads/electricity"))
MAY = datetime(1997, 5, 1, tzinfo=UTC)
FLEET = Fleet(instance="ml.m5.xlarge", count=1, created=MAY)


def asked(second: float, price: float, **changed: Any) -> Decision:
    cells = dict.fromkeys(WORKLOAD.prediction.feature_columns, 0.5) | {"nswprice": price}
    at = MAY + timedelta(seconds=second)
    made = builders.decision(
        id=f"d-{second}",
        event_time=at,
        key={"timestamp": at.isoformat()},
        input=canonical(cells | {"timestamp": at.isoformat()}),
        output={"value": 1},
    )
    return replace(made, **changed)


def traffic(*decisions: Decision) -> Traffic:
    return traffic_of([Day(day=date(1997, 5, 1), decisions=decisions, unreadable={})], WORKLOAD.prediction)


def test_rows_that_differ_by_their_key_alone_are_asked_again() -> None:
    other, nobody = {"model_version": "2"}, {"model_version": None, "fallback": True}
    found = traffic(asked(0, 1.0), asked(10, 1.0), asked(20, 2.0), asked(30, 1.0, **other), asked(40, 1.0, **nobody))
    assert (found.predictions, found.repeated) == (5, 1)
    # The control: one decision of the same key, of which each line is read once.
    assert traffic(asked(0, 1.0)).repeated == 0


def test_calls_of_one_caller_within_a_second_could_be_one() -> None:
    one, ann = asked(0, 1.0), {"caller": "arn:ann"}
    rows_of_a_call = [replace(one, id=f"d-{number}") for number in range(3)]
    found = traffic(*rows_of_a_call, asked(0.5, 2.0), asked(0.7, 3.0, **ann), asked(5, 4.0))
    assert (found.calls, found.together) == (4, 1)


def test_hours_without_a_request_after_the_first_eight_could_be_saved() -> None:
    with pytest.MonkeyPatch.context() as patch, mock_aws():
        for name, value in KEYS.items():
            patch.setenv(name, value)
        environment = Environment(platform=PLATFORM, client=lambda name: boto3.client(name, region_name=REGION))
        # 36 s of answers in hour 10, in two metrics.
        for minute, value_us in ((1, 6e6), (59, 30e6)):
            datum = {
                "MetricName": "ModelLatency",
                "Value": value_us,
                "Timestamp": MAY + timedelta(hours=10, minutes=minute),
                "Dimensions": [
                    {"Name": "EndpointName", "Value": NAMES.endpoint},
                    {"Name": "VariantName", "Value": VARIANT},
                ],
            }
            environment.client("cloudwatch").put_metric_data(Namespace="AWS/SageMaker", MetricData=[datum])
        day, two = MAY + timedelta(days=1), replace(FLEET, count=2)
        found = find_utilisation(environment, NAMES, MAY, day, fleet=two, instance_hours=48)
    assert (found.hours, found.silent) == (24, 23)
    assert (found.busy, found.busiest) == (pytest.approx(0.01 / 48), pytest.approx(0.01 / 2))
    # Ten hours before it, thirteen after it: two and five of them lie behind the eighth.
    assert found.stoppable == 7


NAMES_FALLBACKS = WorkloadNames(platform=DEV, workload="electricity")
GROUP = f"/aws/lambda/{NAMES_FALLBACKS.function('prediction')}"


def put_live(environment: Environment) -> None:
    table = StateTable(environment.client("dynamodb"), NAMES_FALLBACKS)
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
    make_machines(environment, NAMES_FALLBACKS, "train", "release")
    states.start_execution(stateMachineArn=NAMES_FALLBACKS.machine_arn("train"), name="0123abcd-first")
    assert why_fallback(environment, NAMES_FALLBACKS) == "no model is live yet, train 0123abcd is on the way to one"


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
    assert why_fallback(environment, NAMES_FALLBACKS) == said


def test_without_the_right_to_read_either_may_be(environment: Environment) -> None:
    assert why_fallback(environment, NAMES_FALLBACKS) == UNKNOWN


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
    assert (command in lost_endpoint(environment, NAMES_FALLBACKS)) is is_told
