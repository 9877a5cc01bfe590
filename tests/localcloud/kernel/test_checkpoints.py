"""Checkpoints of a cloud: a life sees nothing of what another wrote, and in each the whole cloud goes on."""

from __future__ import annotations

import hashlib
import json
import os
import urllib.error
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from localcloud.kernel import checkpoints
from localcloud.kernel.cloud import ACCOUNT, REGION
from millrace.console.local_cloud.local_cloud import LocalCloud, find_cloud, start_cloud
from millrace.console.local_cloud.processes import Processes
from tests.alarm import put_alarm
from tests.archives import zipped
from tests.checkpoints import Checkpoint, call, checkpoint, end_life
from tests.localcloud.resources import allow, make_role
from tests.localcloud.waiting import until

START = datetime(1997, 1, 1, tzinfo=UTC)
LARGE = bytes(20_000_000)
"""moto keeps so many bytes in a file of its process, not in memory."""
SOURCE = "def handler(event, context):\n    print('CALLED')\n    return event\n"
MACHINE = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:m"
LIMIT_S = 300.0


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("checkpoints")


@pytest.fixture(scope="module")
def cloud(build: Path) -> Iterator[LocalCloud]:
    processes = Processes(folder=build)
    try:
        yield find_cloud(start_cloud(processes, clock=START))
    finally:
        processes.stop()


@pytest.fixture(scope="module")
def filled(cloud: LocalCloud, build: Path) -> Checkpoint:
    """A bucket, a table, a queue whose messages a function takes, a machine that calls it and an alarm."""
    arn = make_role(cloud.client("iam"), "r", "lambda states", allow("*"))
    cloud.client("s3").create_bucket(Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": REGION})
    cloud.client("s3").put_bucket_versioning(Bucket="bucket", VersioningConfiguration={"Status": "Enabled"})
    cloud.client("s3").put_object(Bucket="bucket", Key="large", Body=LARGE)
    cloud.client("dynamodb").create_table(
        TableName="t",
        KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    cloud.client("glue").create_database(DatabaseInput={"Name": "d"})
    cloud.client("sqs").create_queue(QueueName="q")
    code = {"ZipFile": zipped(**{"app.py": SOURCE})}
    cloud.client("lambda").create_function(
        FunctionName="f", Role=arn, Runtime="python3.11", Handler="app.handler", Code=code
    )
    cloud.client("lambda").create_event_source_mapping(
        EventSourceArn=f"arn:aws:sqs:{REGION}:{ACCOUNT}:q", FunctionName="f"
    )
    task = {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Parameters": {"FunctionName": "f"}}
    definition = {"StartAt": "Call", "States": {"Call": {**task, "End": True}}}
    cloud.client("stepfunctions").create_state_machine(name="m", definition=json.dumps(definition), roleArn=arn)
    put_alarm(cloud.client("cloudwatch"), "a", Namespace="n", Threshold=1, TreatMissingData="notBreaching")
    (build / "beside.txt").write_text("as it was")
    live(cloud)
    return checkpoint(cloud, "filled", build, [build / "beside.txt"])


def live(cloud: LocalCloud) -> None:
    """Change a bit of everything, and see each service do its work."""
    before = counted(cloud)
    cloud.client("s3").put_object(Bucket="bucket", Key="small", Body=str(before).encode())
    cloud.client("s3").put_object(Bucket="bucket", Key="large", Body=LARGE + b"more")
    cloud.client("dynamodb").put_item(TableName="t", Item={"k": {"S": str(before)}})
    cloud.client("glue").create_table(DatabaseName="d", TableInput={"Name": f"t{before}"})
    cloud.client("sqs").send_message(
        QueueUrl=cloud.client("sqs").get_queue_url(QueueName="q")["QueueUrl"], MessageBody="m"
    )
    cloud.client("stepfunctions").start_execution(stateMachineArn=MACHINE)
    until(lambda: counted(cloud) == before + 2)
    cloud.move_clock(cloud.now() + timedelta(days=1))
    metric = {"MetricName": "m", "Value": 2.0, "Timestamp": cloud.now()}
    cloud.client("cloudwatch").put_metric_data(Namespace="n", MetricData=[metric])
    until(lambda: alarm(cloud) == "ALARM")
    cloud.wait(timeout_s=LIMIT_S)


def alarm(cloud: LocalCloud) -> str:
    return str(cloud.client("cloudwatch").describe_alarms(AlarmNames=["a"])["MetricAlarms"][0]["StateValue"])


def counted(cloud: LocalCloud) -> int:
    """How often the function was called, by its log."""
    groups = cloud.client("logs").describe_log_groups()["logGroups"]
    events = [
        event
        for group in groups
        for event in cloud.client("logs").filter_log_events(logGroupName=group["logGroupName"])["events"]
    ]
    return sum("CALLED" in event["message"] for event in events)


def state(cloud: LocalCloud) -> dict[str, Any]:
    """All that the API shows of what `live` changes."""
    s3, queue = cloud.client("s3"), cloud.client("sqs").get_queue_url(QueueName="q")["QueueUrl"]
    versions = s3.list_object_versions(Bucket="bucket")["Versions"]
    bodies = [
        s3.get_object(Bucket="bucket", Key=one["Key"], VersionId=one["VersionId"])["Body"].read() for one in versions
    ]
    executions = cloud.client("stepfunctions").list_executions(stateMachineArn=MACHINE)["executions"]
    return {
        "objects": [(one["Key"], one["VersionId"], one["ETag"]) for one in versions],
        "bodies": [hashlib.sha256(body).hexdigest() for body in bodies],
        "items": cloud.client("dynamodb").scan(TableName="t")["Items"],
        "tables": [one["Name"] for one in cloud.client("glue").get_tables(DatabaseName="d")["TableList"]],
        "queue": cloud.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"],
        "executions": [(one["executionArn"], one["status"], one["stopDate"]) for one in executions],
        "alarm": alarm(cloud),
        "calls": counted(cloud),
        "day": cloud.now().date(),
    }


def test_each_life_begins_as_it_was_and_goes_on(cloud: LocalCloud, filled: Checkpoint, build: Path) -> None:
    """The first life is the one that the checkpoint goes on with; the others are restored."""
    before, client = state(cloud), cloud.client("s3")
    for _ in range(2):
        live(cloud)
        (build / "beside.txt").write_text("changed")
        changed = state(cloud)
        assert [name for name, value in changed.items() if value == before[name]] == ["queue", "alarm"]
        end_life(cloud, build)
        filled.restore()
        assert state(cloud) == before
        assert (build / "beside.txt").read_text() == "as it was"
    # A client that was made before goes on, too.
    assert client.list_buckets()["Buckets"]


def test_a_state_goes_on_from_another_and_both_stand(cloud: LocalCloud, filled: Checkpoint, build: Path) -> None:
    end_life(cloud, build)
    filled.restore()
    first = state(cloud)
    live(cloud)
    later = checkpoint(cloud, "later", build)
    second = state(cloud)
    assert second["items"] != first["items"]
    for one, wanted in ((filled, first), (later, second), (filled, first)):
        end_life(cloud, build)
        one.restore()
        assert state(cloud) == wanted


def test_no_checkpoint_is_made_under_a_name_that_is_taken(cloud: LocalCloud, filled: Checkpoint) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        call(cloud, "checkpoint", {"name": filled.address.parent.name})
    with refused.value as answer:
        assert answer.code == 400


def test_a_restore_does_not_stumble_over_what_the_last_one_still_deletes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved, place = tmp_path / "saved", tmp_path / "place"
    for folder in (saved, place):
        folder.mkdir()
    (saved / "file").write_text("as it was")
    monkeypatch.setattr(os, "fork", lambda: 1)  # the process that deletes has not come to it yet
    for _ in range(3):
        (place / "new").write_text("of this life")
        checkpoints._restore(saved, place)
        assert [file.name for file in place.iterdir()] == ["file"]


def test_nothing_is_left_of_templates_and_lives(tmp_path: Path) -> None:
    processes = Processes(folder=tmp_path)
    try:
        cloud = find_cloud(start_cloud(processes, clock=START))
        first = checkpoint(cloud, "first", tmp_path)
        checkpoint(cloud, "second", tmp_path)
        end_life(cloud, tmp_path)
        first.restore()
        # Two templates and a life; a fork that begins a program shows its parent's command for a moment.
        until(lambda: len(of_workspace(tmp_path)) == 3)
    finally:
        processes.stop()
    until(lambda: not of_workspace(tmp_path))


def of_workspace(folder: Path) -> list[str]:
    """The processes that were started with this workspace, by /proc."""
    mark, found = str(folder / "local").encode(), []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if mark in words:
            found.append(process.name)
    return found
