"""A whole cloud whose clock stands in 1997: metric, alarm, event, function, queue and schedule agree on the time."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.localcloud.control import control

START = datetime(1997, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def announced(tmp_path: Path) -> Iterator[dict[str, str]]:
    """What a cloud in a process of its own says when it is ready."""
    process = subprocess.Popen(
        [sys.executable, "-m", "localcloud", "--workspace", str(tmp_path / "w"), "--clock", START.isoformat()],
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    with process.stdout:
        yield json.loads(process.stdout.readline())
        process.terminate()
        assert process.wait(timeout=60) == 0


@pytest.fixture
def past(announced: dict[str, str]) -> str:
    """Its address."""
    return announced["endpoint_url"]


@pytest.fixture
def old(past: str) -> Callable[[str], Any]:
    keys = {"aws_access_key_id": "local", "aws_secret_access_key": "local"}
    return lambda service: boto3.client(service, endpoint_url=past, region_name="eu-west-1", **keys)


@pytest.fixture
def move(announced: dict[str, str]) -> Callable[[datetime], Any]:
    """Move its clock."""
    secret = Path(announced["secret_file"]).read_text()
    return lambda to: control(announced["endpoint_url"], "clock", {"to": to.isoformat()}, secret=secret)


def test_all_agree_on_the_time(old: Any, move: Callable[[datetime], Any]) -> None:
    cloudwatch, sqs, iam = old("cloudwatch"), old("sqs"), old("iam")
    services = ["lambda.amazonaws.com", "scheduler.amazonaws.com"]
    trust = {"Effect": "Allow", "Principal": {"Service": services}, "Action": "sts:AssumeRole"}
    allow = {"Effect": "Allow", "Action": ["sqs:*", "cloudwatch:PutMetricData"], "Resource": "*"}
    role = iam.create_role(
        RoleName="r", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    )["Role"]["Arn"]
    document = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    iam.put_role_policy(RoleName="r", PolicyName="p", PolicyDocument=document)
    url = sqs.create_queue(QueueName="told")["QueueUrl"]
    arn = "arn:aws:sqs:eu-west-1:123456789012:told"
    old("events").put_rule(Name="alarms", EventPattern=json.dumps({"source": ["aws.cloudwatch"]}))
    old("events").put_targets(Rule="alarms", Targets=[{"Id": "q", "Arn": arn}])
    cloudwatch.put_metric_alarm(
        AlarmName="a", Namespace="N", MetricName="m", Period=60, Statistic="Maximum", EvaluationPeriods=1,
        Threshold=1.0, ComparisonOperator="GreaterThanThreshold", TreatMissingData="ignore",
    )  # fmt: skip
    source = (
        "import boto3\ndef handler(e, c):\n"
        "    data = [{'MetricName': 'm', 'Value': 5.0}]\n"
        "    boto3.client('cloudwatch').put_metric_data(Namespace='N', MetricData=data)"
    )
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("app.py", source)
    old("lambda").create_function(
        FunctionName="f", Runtime="python3.13", Role=role, Handler="app.handler",
        Code={"ZipFile": buffer.getvalue()}, Timeout=30, MemorySize=512,
    )  # fmt: skip
    old("lambda").create_event_source_mapping(
        FunctionName="f", EventSourceArn=sqs.create_queue(QueueName="work")["QueueUrl"] and arn.replace("told", "work")
    )
    old("scheduler").create_schedule(
        Name="s", ScheduleExpression="cron(0 6 * * ? *)", FlexibleTimeWindow={"Mode": "OFF"},
        Target={"Arn": arn.replace("told", "work"), "RoleArn": role, "Input": "<aws.scheduler.scheduled-time>"},
    )  # fmt: skip
    move(START + timedelta(days=1))
    deadline, events = time.monotonic() + 60, []
    while not events and time.monotonic() < deadline:
        events = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=2).get("Messages", [])
    event = json.loads(events[0]["Body"])
    assert event["time"].startswith("1997-03-02T12:0")
    assert event["detail"]["state"]["value"] == "ALARM"
    assert "(02/03/97 12:0" in event["detail"]["state"]["reason"]
    query = {"Namespace": "N", "MetricName": "m", "Period": 3600, "Statistics": ["Sum"]}
    (point,) = cloudwatch.get_metric_statistics(StartTime=START, EndTime=START + timedelta(days=2), **query)[
        "Datapoints"
    ]
    assert (point["Timestamp"], point["Sum"]) == (START + timedelta(days=1), 5.0)
    (alarm,) = cloudwatch.describe_alarms(AlarmNames=["a"])["MetricAlarms"]
    assert alarm["StateUpdatedTimestamp"].year == 1997
