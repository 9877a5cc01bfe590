"""A burst of throttled calls of every service that a drop goes through: the run takes longer, and nothing is lost."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from millrace.console.demo.electricity import STORY
from millrace.console.demo.months import SAMPLE, months
from millrace.console.environment import local_environment
from millrace.console.local_cloud.local_cloud import LocalCloud
from millrace.console.queries.dead_letters import find_dead_queues
from tests.end_to_end.conftest import control
from tests.live import REST_S

pytestmark = pytest.mark.night("by day the machines' retries are walked by recorded failures")

NAMES = STORY.names
BURST = {
    "stepfunctions:StartExecution": 2,
    "lambda:Invoke": 2,
    "dynamodb:*": 4,
    "s3:PutObject": 2,
    "s3:GetObject": 2,
    "glue:GetTable": 3,
    "glue:UpdateTable": 3,
    "events:PutEvents": 1,
}
"""Calls in a row that are throttled."""


def drop(cloud: LocalCloud, name: str, body: bytes) -> dict[str, Any]:
    """What Describe says of the only execution that the drop has started."""
    states, before = cloud.client("stepfunctions"), executions(cloud)
    key = f"{NAMES.workload}/training/{name}"
    cloud.client("s3").put_object(Bucket=NAMES.platform.bucket("landing"), Key=key, Body=body)
    cloud.wait(timeout_s=REST_S)
    (arn,) = executions(cloud) - before
    described: dict[str, Any] = states.describe_execution(executionArn=arn)
    return described


def executions(cloud: LocalCloud) -> set[str]:
    listed = cloud.client("stepfunctions").list_executions(stateMachineArn=NAMES.machine_arn("ingest"))
    return {one["executionArn"] for one in listed["executions"]}


def test_a_drop_goes_through_a_burst_of_throttles_without_a_loss(cloud: LocalCloud) -> None:
    first, second = months(SAMPLE, "1996-05", "1996-06")
    quiet = drop(cloud, "may.parquet", first.drop())
    control(cloud, "throttles", BURST)
    throttled = drop(cloud, "june.parquet", second.drop())
    answered = control(cloud, "throttles")
    assert answered["left"] == dict.fromkeys(BURST, 0), "every throttle was met"
    assert sum(answered["refused"].values()) == sum(BURST.values())
    control(cloud, "throttles", {})

    assert (quiet["status"], throttled["status"]) == ("SUCCEEDED", "SUCCEEDED"), throttled.get("cause")
    committed = [json.loads(one["output"])["validation"]["answer"]["drops"][0] for one in (quiet, throttled)]
    assert [one["rows_accepted"] for one in committed] == [first.rows.num_rows, second.rows.num_rows]
    assert committed[1]["rows_total"] == first.rows.num_rows + second.rows.num_rows
    assert [one for one in find_dead_queues(local_environment(cloud), NAMES) if one.messages] == []


def test_what_no_sdk_carries_its_machine_has_tried_again(cloud: LocalCloud) -> None:
    """Step Functions makes these calls itself: the retries are in the execution's history."""
    states = cloud.client("stepfunctions")
    failed: Counter[str] = Counter()
    for arn in executions(cloud):
        events = states.get_execution_history(executionArn=arn)["events"]
        failed.update(one["taskFailedEventDetails"]["error"] for one in events if one["type"] == "TaskFailed")
    assert failed == {"Lambda.TooManyRequestsException": 2, "EventBridge.AmazonEventBridgeException": 1}
