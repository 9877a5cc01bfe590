"""The prediction function of a workload whose endpoint sleeps while nobody asks it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest

from millrace.state.asleep import START, Asleep
from millrace.state.pointers import Pointers, ReleasePointers, Version
from millrace.state.table import StateTable
from tests.electricity import live_at_once
from tests.functions.cold_start import NAMES, cold_starts
from tests.functions.prediction.conftest import SAMPLES
from tests.functions.prediction.test_handler import request

IDLE = "  idle: {stop_after_hours: 8}\n"
FALLBACK = "  fallback: [{constant: 0.25}]\n"
Predict = Callable[[dict[str, Any]], dict[str, Any]]


@pytest.fixture
def state(queue_url: str) -> StateTable:
    """Version 3 is live, and its endpoint is missing."""
    state = StateTable(boto3.client("dynamodb"), NAMES)
    live = Version(package_arn="arn", version="3", model_name="m", run="r", baseline_uri="s3://b/k")
    ReleasePointers(state).move(Pointers().with_live(live))
    return state


@pytest.fixture
def start(state: StateTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, endpoint: Any) -> Any:
    """`start(idle=True, fallback=True)`: the handler of a workload that declares so."""
    endpoint.status, endpoint.code = 400, "ValidationError"
    with cold_starts() as start:

        def declared(*, idle: bool, fallback: bool) -> Predict:
            own = tmp_path / "electricity"
            shutil.copytree(SAMPLES / "electricity", own)
            text = live_at_once((own / "workload.yaml").read_text())
            text = text.replace("  phases: [live]\n", f"  phases: [live]\n{IDLE if idle else ''}")
            text = text.replace("  label: class\n", f"  label: class\n{FALLBACK if fallback else ''}")
            (own / "workload.yaml").write_text(text)
            monkeypatch.setenv("MILLRACE_WORKLOADS", str(tmp_path))
            return start("prediction")

        yield declared


@pytest.fixture
def wanted() -> Callable[[], list[dict[str, Any]]]:
    """`wanted()`: the events that ask for the endpoint, since the last call."""
    events, sqs, bus = boto3.client("events"), boto3.client("sqs"), NAMES.platform.bus
    queue = sqs.create_queue(QueueName="told")["QueueUrl"]

    def read() -> list[dict[str, Any]]:
        found = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
        return [json.loads(one["Body"]) for one in found]

    events.create_event_bus(Name=bus)
    events.put_rule(Name="all", EventBusName=bus, EventPattern=json.dumps({"detail-type": ["endpoint.wanted"]}))
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_targets(Rule="all", EventBusName=bus, Targets=[{"Id": "1", "Arn": arn}])
    return read


def sleep(state: StateTable, *, asked: timedelta | None = None) -> None:
    now = datetime.now(UTC)
    asleep = Asleep(version="3", config="c", instance="ml.m5.large", instances=1, since=now - timedelta(hours=9))
    asleep.put(state)
    if asked is not None:
        assert Asleep.ask(state, now - asked)


def published(capsys: pytest.CaptureFixture[str]) -> set[str]:
    """The metrics that were published."""
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    metrics = [one["_aws"]["CloudWatchMetrics"][0]["Metrics"] for one in lines if "_aws" in one]
    return {metric["Name"] for found in metrics for metric in found}


@pytest.mark.parametrize(
    ("idle", "asleep", "asked"),
    [(False, True, None), (True, False, None), (True, True, START + timedelta(minutes=1))],
    ids=["not declared", "deleted by hand", "does not start"],
)
def test_what_does_not_pass_by_itself_is_a_fault(
    idle: bool,
    asleep: bool,
    asked: timedelta | None,
    start: Any,
    state: StateTable,
    wanted: Any,
    capsys: pytest.CaptureFixture[str],
) -> None:
    predict = start(idle=idle, fallback=True)
    if asleep:
        sleep(state, asked=asked)
    answer = predict(request("prediction_http"))
    assert answer["statusCode"] == 200, "the declared fallback answers"
    said = json.loads(answer["body"])["predictions"]
    assert {(one["fallback"], one["answered_by"], one["probability"]) for one in said} == {(True, "constant", 0.25)}
    assert published(capsys) == {"Unavailable", "Fallbacks"}, "alarms hear of it"
    assert len(wanted()) == (asked is not None), "after an hour it is asked for once more"


def test_a_bus_that_is_away_leaves_it_to_the_next_request(start: Any, state: StateTable) -> None:
    predict = start(idle=True, fallback=True)
    sleep(state)
    assert predict(request("prediction_http"))["statusCode"] == 200  # by the fallback; there is no bus
    found = Asleep.find(state)
    assert found is not None
    assert found.asked is None


def test_without_a_fallback_the_caller_is_told_when_to_come_again(start: Any, state: StateTable, wanted: Any) -> None:
    predict = start(idle=True, fallback=False)
    sleep(state)
    answer = predict(request("prediction_http"))
    assert (answer["statusCode"], json.loads(answer["body"])["error"]) == (503, "endpoint starts")
    assert answer["headers"]["retry-after"] == "300"
    assert len(wanted()) == 1
