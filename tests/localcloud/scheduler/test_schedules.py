"""Schedules fire by the cloud's clock, in order, under their role."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud.kernel.cloud import Cloud
from localcloud.scheduler.schedule_times import next_due
from tests.localcloud.resources import Resources, allow


@pytest.fixture
def queue(aws: Resources) -> tuple[str, Callable[[], list[Any]]]:
    """ARN of a queue, and what was sent there so far, in order."""
    queue = aws.queue()
    return queue.arn, queue.bodies


@pytest.fixture
def role(aws: Resources) -> str:
    return aws.role("scheduler", allow(["sqs:SendMessage"]))


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


def test_a_move_fires_every_due_time_in_order(cloud: Cloud, schedule: Any, queue: Any) -> None:
    arn, bodies = queue
    text = (
        '{"at":"<aws.scheduler.scheduled-time>","by":"<aws.scheduler.schedule-arn>","n":"<aws.scheduler.execution-id>"}'
    )
    name = schedule("cron(0 6 * * ? *)", arn, target={"Input": text})
    start = (cloud.clock.now() + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    cloud.clock.move(start)
    bodies()
    cloud.clock.move(start + timedelta(days=3))
    fired = bodies()
    assert [body["at"] for body in fired] == [
        (start + timedelta(days=n, hours=6)).strftime("%Y-%m-%dT%H:%M:%SZ") for n in range(3)
    ]
    assert fired[0]["by"].endswith(f"schedule/default/{name}")
    assert len({body["n"] for body in fired}) == 3


def test_what_is_not_covered_is_refused_by_name(client: Any, schedule: Any, queue: Any) -> None:
    with pytest.raises(ClientError, match="does not cover ActionAfterCompletion"):
        schedule("rate(1 hour)", queue[0], ActionAfterCompletion="DELETE")
    with pytest.raises(ClientError, match="does not cover ScheduleExpression"):
        client("events").put_rule(Name="hourly", ScheduleExpression="rate(1 hour)")


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


FRIDAY = datetime(2026, 11, 20, 10, 7, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("cron(15 10 * * ? *)", "2026-11-20T10:15"),
        ("cron(0 18 ? * MON-FRI *)", "2026-11-20T18:00"),
        ("cron(0 8 1 * ? *)", "2026-12-01T08:00"),
        ("cron(0/15 * * * ? *)", "2026-11-20T10:15"),
        ("cron(0/5 8-17 ? * MON-FRI *)", "2026-11-20T10:10"),
        ("cron(30 0 ? * SAT,SUN *)", "2026-11-21T00:30"),
        ("cron(0 9 ? * 2#1 *)", "2026-12-07T09:00"),
        ("cron(15 10 ? * 6L 2026-2027)", "2026-11-27T10:15"),
        ("cron(0 0 L * ? *)", "2026-11-30T00:00"),
        ("cron(0 0 15W * ? *)", "2026-12-15T00:00"),
        ("cron(0 0 1W AUG ? *)", "2027-08-02T00:00"),
        ("cron(0 0 29 2 ? *)", "2028-02-29T00:00"),
        ("cron(0 0 ? * FRI-MON *)", "2026-11-21T00:00"),
        ("cron(0 12 * * ? 2030)", "2030-01-01T12:00"),
        ("at(2026-11-21T00:00:00)", "2026-11-21T00:00"),
        ("rate(1 day)", "2026-11-21T10:07:30"),
    ],
)
def test_next_due(expression: str, expected: str) -> None:
    assert next_due(expression, FRIDAY) == datetime.fromisoformat(expected).replace(tzinfo=UTC)


@pytest.mark.parametrize("expression", ["cron(0 12 * * ? 2020)", "at(2026-11-20T00:00:00)"])
def test_never_again(expression: str) -> None:
    assert next_due(expression, FRIDAY) is None


def test_a_rate_counts_from_its_start() -> None:
    start = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
    assert next_due("rate(25 minutes)", FRIDAY, start=start) == datetime(2026, 11, 20, 10, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ("2026-07-01T00:00", "2026-07-01T00:30"),  # summer: UTC+2
        ("2026-12-01T00:00", "2026-12-01T01:30"),  # winter: UTC+1
        ("2027-03-27T02:00", "2027-03-29T00:30"),  # 02:30 does not exist on 28 March
        ("2026-10-25T00:00", "2026-10-25T00:30"),  # 02:30 comes twice: the first one
        ("2026-10-25T00:30", "2026-10-26T01:30"),  # and only that one
    ],
)
def test_time_zones(after: str, expected: str) -> None:
    found = next_due("cron(30 2 * * ? *)", datetime.fromisoformat(after).replace(tzinfo=UTC), zone="Europe/Berlin")
    assert found == datetime.fromisoformat(expected).replace(tzinfo=UTC)


@pytest.mark.parametrize("expression", ["cron(0 12 * * * *)", "cron(0 12 ? * ? *)", "cron(60 * * * ? *)", "daily"])
def test_what_cannot_be_read_is_refused(expression: str) -> None:
    with pytest.raises(ValueError, match=r"cron|schedule"):
        next_due(expression, FRIDAY)
