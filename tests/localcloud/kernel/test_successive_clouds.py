"""Clouds that follow one another in a process: each starts empty and leaves nothing behind, neither threads nor changes
of moto."""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import boto3
import pytest
from botocore.exceptions import BotoCoreError, ClientError

from localcloud.awslambda.pools import WORKERS_PER_FUNCTION
from localcloud.kernel.cloud import Cloud
from localcloud.kernel.server import running
from tests.archives import zipped
from tests.localcloud.resources import allow, make_role
from tests.localcloud.waiting import until

NOT_OURS = {"instances_tracked", "_instances", "request_count"}
"""What moto itself begins anew, or counts."""
RELOADED = "moto.s3.urls"
"""A module that moto itself loads again."""
SLEEPING = "import time\ndef handler(event, context):\n    print('SLEEPS')\n    time.sleep(600)\n"
WAIT = {"Type": "Wait", "Seconds": 86_400, "End": True}
CALL = {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Parameters": {"FunctionName": "f"}, "End": True}
TOKEN = {
    "Type": "Task",
    "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
    "Parameters": {"QueueUrl.$": "$.url", "MessageBody": {"token.$": "$$.Task.Token"}},
    "End": True,
}
RETRIED = {
    "Type": "Task",
    "Resource": "arn:aws:states:::sqs:sendMessage",
    "Parameters": {"QueueUrl": "http://localhost/nowhere", "MessageBody": "x"},
    "Retry": [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 3600}],
    "End": True,
}


def alone(name: str, state: dict[str, Any]) -> dict[str, Any]:
    return {"StartAt": name, "States": {name: state}}


EVERYTHING = alone(
    "Both",
    {
        "Type": "Parallel",
        "Branches": [alone("Wait", WAIT), alone("Call", CALL), alone("Token", TOKEN), alone("Retried", RETRIED), alone(
            "Each", {"Type": "Map", "ItemsPath": "$.items", "ItemProcessor": alone("Inner", WAIT), "End": True}
        )],
        "End": True,
    },
)  # fmt: skip


def fill(cloud: Cloud) -> dict[str, Any]:
    """A bit of everything that goes on by itself; returns the input of the machine `m`."""
    arn, sqs = make_role(cloud.client("iam"), "r", "lambda states", allow("*")), cloud.client("sqs")
    url = sqs.create_queue(QueueName="q")["QueueUrl"]
    cloud.client("lambda").create_function(
        FunctionName="f", Runtime="python3.13", Role=arn, Handler="app.handler", Timeout=900, MemorySize=512,
        Code={"ZipFile": zipped(**{"app.py": SLEEPING})},
    )  # fmt: skip
    source = "arn:aws:sqs:eu-west-1:123456789012:work"
    sqs.create_queue(QueueName="work", Attributes={"VisibilityTimeout": "900"})
    cloud.client("lambda").create_event_source_mapping(EventSourceArn=source, FunctionName="f")
    cloud.client("stepfunctions").create_state_machine(name="m", roleArn=arn, definition=json.dumps(EVERYTHING))
    cloud.client("events").put_rule(Name="s", EventPattern='{"source": ["s"]}')
    cloud.client("scheduler").create_schedule(
        Name="s", ScheduleExpression="rate(1 minute)", FlexibleTimeWindow={"Mode": "OFF"},
        Target={"Arn": source, "RoleArn": arn, "Input": "{}"},
    )  # fmt: skip
    cloud.client("s3").create_bucket(Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": cloud.region})
    return {"url": url, "items": [1, 2, 3]}


def poll(cloud: Cloud, url: str) -> None:
    with suppress(BotoCoreError, ClientError):
        boto3.Session("local", "local", region_name=cloud.region).client(
            "sqs", endpoint_url=cloud.endpoint_url
        ).receive_message(QueueUrl=url, WaitTimeSeconds=20)


def test_nothing_of_a_busy_cloud_lives_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    before = set(threading.enumerate())
    with running(tmp_path / "cloud") as cloud:
        given = fill(cloud)
        machine = "arn:aws:states:eu-west-1:123456789012:stateMachine:m"
        cloud.client("stepfunctions").start_execution(stateMachineArn=machine, input=json.dumps(given))
        cloud.client("lambda").invoke(FunctionName="f", InvocationType="Event", Payload=b"{}")
        cloud.client("sqs").send_message(QueueUrl=given["url"].replace("/q", "/work"), MessageBody="x")
        asking = threading.Thread(
            target=poll, args=(cloud, cloud.client("sqs").create_queue(QueueName="e")["QueueUrl"])
        )
        asking.start()
        log = cloud.workspace / "logs" / "functions" / "f.log"
        # The task's, the asynchronous and the queue's invocation, as many as there are workers for.
        until(lambda: log.exists() and log.read_text().count("SLEEPS") == min(3, WORKERS_PER_FUNCTION))
        caplog.set_level(logging.ERROR, logger="localcloud.kernel.cloud")
    asking.join()
    assert not [record.getMessage() for record in caplog.records if record.name == "localcloud.kernel.cloud"]
    # A connection's thread ends once its last answer is sent.
    until(lambda: not [thread for thread in set(threading.enumerate()) - before if thread.is_alive()])


def test_a_thread_that_hangs_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: Any) -> None:
    monkeypatch.setattr("localcloud.kernel.cloud.SETTLE_S", 0.1)
    release = threading.Event()
    with running(tmp_path / "cloud", fillers=()) as cloud:
        thread = cloud.background("deaf", release.wait)  # type: ignore[arg-type]
    assert "these of its threads did not: ['deaf']" in caplog.text
    release.set()
    thread.join()


def members() -> Iterator[tuple[tuple[str, str], Any]]:
    """Every member of moto's modules and of their classes."""
    for name, module in sys.modules.copy().items():
        if not name.startswith("moto.") or name == RELOADED or not isinstance(module, ModuleType):
            continue
        for member, value in list(vars(module).items()):
            yield (name, member), value
            if isinstance(value, type) and value.__module__ == name:
                yield from (((f"{name}.{member}", inner), one) for inner, one in list(vars(value).items()))


def changed(before: dict[tuple[str, str], Any]) -> list[tuple[str, str]]:
    owners = {owner for owner, _ in before}
    after = {key: value for key, value in members() if key[0] in owners}
    gone = [key for key in before if key not in after]
    other = [key for key, value in after.items() if key in before and before[key] is not value]
    # A module gets a member when one of its modules is imported; a class gets none.
    added = [key for key in after if key not in before and key[0] not in sys.modules]
    return sorted(key for key in [*gone, *other, *added] if key[1] not in NOT_OURS)


def test_at_the_end_moto_is_as_it_was_and_the_next_cloud_starts_empty(tmp_path: Path) -> None:
    with running(tmp_path / "first") as cloud:
        fill(cloud)
    from moto.core.config import default_user_config

    before, settings = dict(members()), json.dumps(default_user_config)
    switching_s = sys.getswitchinterval()
    with running(tmp_path / "second") as cloud:
        assert cloud.client("sqs").list_queues().get("QueueUrls", []) == []
        assert cloud.client("lambda").list_functions()["Functions"] == []
        assert cloud.client("lambda").list_event_source_mappings()["EventSourceMappings"] == []
        assert cloud.client("stepfunctions").list_state_machines()["stateMachines"] == []
        assert cloud.client("events").list_rules()["Rules"] == []
        assert cloud.client("s3").list_buckets()["Buckets"] == []
        assert cloud.client("iam").list_roles()["Roles"] == []
        fill(cloud)
        replaced = changed(before)
    assert len(replaced) > 100
    assert ("moto.events.models.Rule", "send_to_targets") in replaced
    assert changed(before) == []
    assert json.dumps(default_user_config) == settings
    assert sys.getswitchinterval() == switching_s


def test_there_is_one_cloud_at_a_time(tmp_path: Path) -> None:
    second = running(tmp_path / "second")
    with running(tmp_path / "first", fillers=()), pytest.raises(RuntimeError, match="in this process already"):
        second.__enter__()
    with running(tmp_path / "third", fillers=()):
        pass
