"""What an execution held is free after the sweep, whatever kept its end from the cleanup; without the sweep it is not.

Nobody calls a handler: drops, faults and the clock are all that the tests touch."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import pytest

from millrace.console.actions.approve import acknowledge
from millrace.console.demo.electricity import STORY
from millrace.console.environment import local_environment
from millrace.console.local_cloud.local_cloud import LocalCloud
from millrace.console.queries.reviews import queue_length
from millrace.state.holdings import Leases, Slots
from millrace.state.table import StateTable
from tests.end_to_end.conftest import REST_S, States
from tests.localcloud.waiting import until
from tests.mails import mails
from tests.processes import writing

NAMES = STORY.names
HOUR = timedelta(hours=1)
SCHEDULE = f"{NAMES.prefix}-sweep"


@pytest.fixture(scope="module")
def build(states: States) -> Path:
    """The folder of the cloud."""
    return states.build


@pytest.fixture
def holders(cloud: LocalCloud) -> Callable[[], list[str]]:
    """Who holds a slot or a lease now."""
    table = StateTable(cloud.client("dynamodb"), NAMES)
    return lambda: [one.holder for held in (Slots(table), Leases(table)) for one in held.holdings()]


def pass_hours(cloud: LocalCloud, hours: int) -> None:
    """One after the other; what a schedule has started is over before the next."""
    for _ in range(hours):
        cloud.move_clock(cloud.now() + HOUR)
        cloud.wait(timeout_s=REST_S)


@contextmanager
def sweeping(cloud: LocalCloud) -> Iterator[None]:
    """In the block the schedule is on, as it always is on AWS."""
    scheduler = cloud.client("scheduler")
    names = ("ScheduleExpression", "ScheduleExpressionTimezone", "FlexibleTimeWindow", "Target", "KmsKeyArn")
    whole = scheduler.get_schedule(Name=SCHEDULE)
    given = {name: whole[name] for name in names}
    scheduler.update_schedule(Name=SCHEDULE, State="ENABLED", **given)
    try:
        yield
    finally:
        scheduler.update_schedule(Name=SCHEDULE, State="DISABLED", **given)


def drop(cloud: LocalCloud, name: str, body: bytes = b"no table\n") -> None:
    key = f"{NAMES.workload}/training/{name}"
    cloud.client("s3").put_object(Bucket=NAMES.platform.bucket("landing"), Key=key, Body=body)


def executions(cloud: LocalCloud, status: str) -> list[str]:
    states = cloud.client("stepfunctions")
    found = states.list_executions(stateMachineArn=NAMES.machine_arn("ingest"), statusFilter=status)["executions"]
    return [one["executionArn"] for one in found]


def dead_letters(cloud: LocalCloud) -> int:
    sqs = cloud.client("sqs")
    return queue_length(sqs, sqs.get_queue_url(QueueName=NAMES.platform.queue("events-dead"))["QueueUrl"])


def check(cloud: LocalCloud, holders: Callable[[], list[str]], held: list[str]) -> None:
    """Hours alone free nothing; the first sweep does."""
    assert holders() == held
    pass_hours(cloud, 2)
    assert holders() == held, "the negative control: without the sweep it is held for ever"
    with sweeping(cloud):
        pass_hours(cloud, 1)
    assert holders() == []


def test_people_are_reminded_of_an_alarm_until_somebody_acknowledges_it(cloud: LocalCloud) -> None:
    cloudwatch, dimensions = cloud.client("cloudwatch"), [{"Name": "Workload", "Value": NAMES.workload}]
    figure = {"MetricName": "UnreadableDecisions", "Dimensions": dimensions, "Value": 3.0}
    cloudwatch.put_metric_data(Namespace=NAMES.platform.metrics, MetricData=[figure])
    alarm = NAMES.alarm("unreadable")
    until(lambda: cloudwatch.describe_alarms(AlarmNames=[alarm])["MetricAlarms"][0]["StateValue"] == "ALARM")
    with sweeping(cloud):
        pass_hours(cloud, 1)
        before = len(mails(cloud))
        cloud.move_clock(cloud.now() + 24 * HOUR)
        cloud.wait(timeout_s=REST_S)
        (reminder,) = mails(cloud)[before:]
        assert reminder.startswith(f"STILL RAISED: alarm unreadable of {NAMES.workload}, for 24 hours.")
        acknowledge(local_environment(cloud), NAMES, "unreadable", reason="the meter is being replaced")
        # Its record in the audit must not wait in the stream while the clock moves.
        cloud.wait(timeout_s=REST_S)
        cloud.move_clock(cloud.now() + 25 * HOUR)
        cloud.wait(timeout_s=REST_S)
    assert len(mails(cloud)) == before + 1


def test_the_worker_of_the_cleanup_is_killed(cloud: LocalCloud, build: Path, holders: Callable[[], list[str]]) -> None:
    """Each time, so that the event becomes a dead letter."""
    before = set(executions(cloud, "SUCCEEDED"))
    assert dead_letters(cloud) == 0
    drop(cloud, "killed.csv")

    def is_given_up() -> bool:
        for process in writing(build / "local" / "logs" / "functions" / f"{NAMES.function('cleanup')}.log"):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        return dead_letters(cloud) == 1

    until(is_given_up, limit_s=REST_S)
    cloud.wait(timeout_s=REST_S)
    (ended,) = set(executions(cloud, "SUCCEEDED")) - before
    check(cloud, holders, [ended])
    assert dead_letters(cloud) == 1, "what became of the call of the sweep is no dead letter"
