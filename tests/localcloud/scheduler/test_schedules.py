"""Schedules fire by the cloud's clock, in order, under their role."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from localcloud.kernel.cloud import Cloud
from tests.localcloud.resources import Resources, allow


@pytest.fixture
def queue(aws: Resources) -> tuple[str, Callable[[], list[Any]]]:
    """ARN of a queue, and what was sent there so far, in order."""
    queue = aws.queue()
    return queue.arn, queue.bodies


@pytest.fixture
def role(aws: Resources) -> str:
    return aws.role("scheduler", allow(["sqs:SendMessage", "ssm:PutParameter"]))


@pytest.fixture
def schedule(client: Callable[[str], Any], fresh: Callable[..., str], role: str) -> Callable[..., str]:
    def make(expression: str, arn: str, *, target: dict[str, Any] | None = None, **settings: Any) -> str:
        name = fresh("schedule")
        client("scheduler").create_schedule(
            Name=name,
            ScheduleExpression=expression,
            FlexibleTimeWindow={"Mode": "OFF"},
            Target={"Arn": arn, "RoleArn": role, **(target or {})},
            **settings,
        )
        return name

    return make


def midnight_after(cloud: Cloud) -> datetime:
    tomorrow = cloud.clock.now().date() + timedelta(days=1)
    return datetime(tomorrow.year, tomorrow.month, tomorrow.day, tzinfo=UTC)


def test_a_move_fires_every_due_time_in_order(cloud: Cloud, schedule: Any, queue: Any) -> None:
    arn, bodies = queue
    text = (
        '{"at":"<aws.scheduler.scheduled-time>","by":"<aws.scheduler.schedule-arn>","n":"<aws.scheduler.execution-id>"}'
    )
    name = schedule("cron(0 6 * * ? *)", arn, target={"Input": text})
    start = midnight_after(cloud)
    cloud.clock.move(start)
    bodies()
    cloud.clock.move(start + timedelta(days=3))
    fired = bodies()
    assert [body["at"] for body in fired] == [
        (start + timedelta(days=n, hours=6)).strftime("%Y-%m-%dT%H:%M:%SZ") for n in range(3)
    ]
    assert fired[0]["by"].endswith(f"schedule/default/{name}")
    assert len({body["n"] for body in fired}) == 3


def test_at_fires_once_and_is_deleted(cloud: Cloud, client: Any, schedule: Any, queue: Any) -> None:
    arn, bodies = queue
    due = cloud.clock.now() + timedelta(hours=2)
    name = schedule(f"at({due:%Y-%m-%dT%H:%M:%S})", arn, ActionAfterCompletion="DELETE")
    cloud.clock.move(due + timedelta(minutes=1))
    (event,) = bodies()
    assert (event["source"], event["detail-type"]) == ("aws.scheduler", "Scheduled Event")
    cloud.clock.move(due + timedelta(days=1))
    assert bodies() == []
    assert name not in [one["Name"] for one in client("scheduler").list_schedules()["Schedules"]]


def test_a_universal_target_is_an_api_call(cloud: Cloud, client: Any, schedule: Any, fresh: Any) -> None:
    name = fresh("parameter")
    text = json.dumps({"Name": name, "Value": "<aws.scheduler.scheduled-time>", "Type": "String"})
    due = cloud.clock.now().replace(microsecond=0) + timedelta(hours=1)
    schedule(f"at({due:%Y-%m-%dT%H:%M:%S})", "arn:aws:scheduler:::aws-sdk:ssm:putParameter", target={"Input": text})
    cloud.clock.move(due + timedelta(seconds=1))
    assert client("ssm").get_parameter(Name=name)["Parameter"]["Value"] == f"{due:%Y-%m-%dT%H:%M:%SZ}"


def test_a_failed_call_goes_to_the_dead_letters(
    cloud: Cloud, client: Any, schedule: Any, queue: Any, fresh: Any
) -> None:
    arn, bodies = queue
    due = cloud.clock.now() + timedelta(hours=1)
    missing = "arn:aws:sqs:eu-west-1:123456789012:no-such-queue"
    schedule(f"at({due:%Y-%m-%dT%H:%M:%S})", missing, target={"Input": '{"a": 1}', "DeadLetterConfig": {"Arn": arn}})
    cloud.clock.move(due + timedelta(seconds=1))
    assert bodies() == [{"a": 1}]


def test_an_update_changes_the_next_time(cloud: Cloud, client: Any, schedule: Any, queue: Any, role: str) -> None:
    arn, bodies = queue
    name = schedule("rate(1 hour)", arn, target={"Input": '"old"'})
    time.sleep(0.6)
    client("scheduler").update_schedule(
        Name=name, ScheduleExpression="rate(5 hours)", FlexibleTimeWindow={"Mode": "OFF"}, State="ENABLED",
        Target={"Arn": arn, "RoleArn": role, "Input": '"new"'},
    )  # fmt: skip
    cloud.clock.move(cloud.clock.now() + timedelta(hours=5, minutes=1))
    assert bodies() == ["new"]
