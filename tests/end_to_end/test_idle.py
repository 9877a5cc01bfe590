"""An endpoint that nobody asks is stopped, and a request, a schedule or a new version has it started, once.

Requests and the clock are all that the tests touch."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from millrace.aws.endpoints import find_endpoint
from millrace.console.local_cloud.local_cloud import PLATFORM
from millrace.messages.audit import AuditEvent
from millrace.names import VARIANT
from millrace.state import audit
from millrace.state.audit import Record
from tests.electricity import KNOWN, NAMES, UNSCHEDULED, Electricity, live_electricity, sample
from tests.end_to_end.callers import typed
from tests.end_to_end.test_sweep import sweeping
from tests.mails import mails

CLOCK = datetime.fromisoformat("1997-01-10T08:10:00+00:00")
MORE, HOURS = 600, 5
CHANGES = {
    **UNSCHEDULED,
    "  event_time: timestamp\n": "  event_time: timestamp\n  fallback: [{constant: 0.25}]\n",
    "  phases: [live]\n": f"  phases: [live]\n  idle: {{stop_after_hours: {HOURS}, start_at: cron(0 6 ? * MON *)}}\n",
}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Electricity]:
    """Version 1 is live, and the sweep runs each hour, as it always does on AWS."""
    with live_electricity(tmp_path_factory.mktemp("idle"), clock=CLOCK, changes=CHANGES) as cloud, sweeping(cloud):
        yield cloud


def pass_hours(cloud: Electricity, hours: int) -> None:
    for _ in range(hours):
        cloud.later(hours=1)


def ask(cloud: Electricity, call: str) -> dict[str, Any]:
    """The answer to one row."""
    (prediction,) = cloud.predict(call, sample(KNOWN, 1))
    return prediction


def serves(cloud: Electricity) -> bool:
    found = find_endpoint(cloud.client("sagemaker"), NAMES.endpoint)
    return found is not None and found["EndpointStatus"] == "InService"


def is_scaled(cloud: Electricity) -> bool:
    client, resource = cloud.client("application-autoscaling"), f"endpoint/{NAMES.endpoint}/variant/{VARIANT}"
    return bool(
        client.describe_scalable_targets(ServiceNamespace="sagemaker", ResourceIds=[resource])["ScalableTargets"]
    )


def releases(cloud: Electricity) -> list[str]:
    """How the executions of the machine ended."""
    states = cloud.client("stepfunctions")
    listed = states.list_executions(stateMachineArn=NAMES.machine_arn("release"))["executions"]
    return [one["status"] for one in listed]


def records(cloud: Electricity, event: AuditEvent) -> list[Record]:
    found = audit.read(cloud.client("dynamodb"), table=PLATFORM.audit_table, workload=NAMES.workload)
    return [one for one in found if one.event == event]


def fall_asleep(cloud: Electricity) -> None:
    pass_hours(cloud, HOURS + 1)
    assert not serves(cloud)


def test_an_endpoint_that_is_asked_serves_on(cloud: Electricity) -> None:
    for number in range(2):
        pass_hours(cloud, HOURS - 1)
        assert ask(cloud, f"kept-{number}")["model_version"] == "1"
    assert serves(cloud)
    assert records(cloud, AuditEvent.ENDPOINT_STOPPED) == []


def test_one_request_of_many_starts_a_sleeping_endpoint_and_all_are_answered(cloud: Electricity) -> None:
    fall_asleep(cloud)
    assert not is_scaled(cloud)
    assert len(records(cloud, AuditEvent.ENDPOINT_STOPPED)) == 1
    assert "asleep" in typed("status")[0]["live"]
    before, told = releases(cloud), mails(cloud)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: ask(cloud, f"asleep-{number}"), range(8)))
    # A worker that starts late may find it awake.
    instead = [one for one in answers if one["model_version"] is None]
    assert {(one["reason"], one["answered_by"], one["probability"]) for one in instead} == {
        ("asleep", "constant", 0.25)
    }
    cloud.rest()
    assert releases(cloud) == ["SUCCEEDED", *before]
    assert (serves(cloud), is_scaled(cloud), ask(cloud, "awake")["model_version"]) == (True, True, "1")
    pass_hours(cloud, 1)
    assert (cloud.raised(), mails(cloud)) == (set(), told), "nobody is called for what was declared"


def test_a_schedule_starts_it(cloud: Electricity) -> None:
    fall_asleep(cloud)
    monday = cloud.now() + timedelta(days=7 - cloud.now().weekday())
    cloud.go_to(monday.replace(hour=6, minute=20))
    assert serves(cloud)


def test_a_new_version_is_watched_beside_the_one_that_slept(cloud: Electricity) -> None:
    fall_asleep(cloud)
    came = sample(KNOWN, MORE)
    cloud.move_clock(max(cloud.now(), came["timestamp"][-1].as_py().replace(tzinfo=UTC)))
    cloud.drop("training/more", came)
    typed("train")
    cloud.rest()
    live = records(cloud, AuditEvent.RELEASE_LIVE)[-1].details
    assert (serves(cloud), live.version, is_scaled(cloud)) == (True, "2", True)
    states = cloud.client("stepfunctions")
    waited = states.list_executions(stateMachineArn=NAMES.machine_arn("release"))["executions"][1]["executionArn"]
    pages = states.get_paginator("get_execution_history").paginate(executionArn=waited)
    entered = [
        one["stateEnteredEventDetails"]["name"]
        for page in pages
        for one in page["events"]
        if "stateEnteredEventDetails" in one
    ]
    assert entered.index("Its turn comes") < entered.index("Model") < entered.index("Update live")
