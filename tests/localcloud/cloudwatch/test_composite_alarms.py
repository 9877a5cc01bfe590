"""Composite alarms follow the alarms that they name, and notify once in their place."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.alarm import put_alarm
from tests.localcloud.waiting import until


def put(client: Any, name: str, **settings: Any) -> None:
    put_alarm(client("cloudwatch"), name, Namespace=name, TreatMissingData="notBreaching", **settings)


def states(client: Any, *names: str) -> list[str]:
    found = client("cloudwatch").describe_alarms(AlarmNames=[*names], AlarmTypes=["MetricAlarm", "CompositeAlarm"])
    by_name = {one["AlarmName"]: one["StateValue"] for one in (*found["MetricAlarms"], *found["CompositeAlarms"])}
    return [by_name[name] for name in names]


def test_one_message_for_two_alarms(cloud: Any, client: Any, fresh: Any) -> None:
    one, two, both, queue = fresh("One"), fresh("Two"), fresh("Both"), fresh("queue")
    topic, url = (
        client("sns").create_topic(Name=fresh("topic"))["TopicArn"],
        client("sqs").create_queue(QueueName=queue),
    )
    arn = f"arn:aws:sqs:{cloud.region}:123456789012:{queue}"
    client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
    put(client, one)
    put(client, two)
    rule = f'ALARM("{one}") OR ALARM("{two}")'
    client("cloudwatch").put_composite_alarm(AlarmName=both, AlarmRule=rule, AlarmActions=[topic])
    for name in (one, two):
        client("cloudwatch").put_metric_data(Namespace=name, MetricData=[{"MetricName": "m", "Value": 1.0}])
    until(lambda: states(client, one, two, both) == ["ALARM"] * 3)
    received = client("sqs").receive_message(QueueUrl=url["QueueUrl"], WaitTimeSeconds=5, MaxNumberOfMessages=10)
    (said,) = [json.loads(message["Body"]) for message in received["Messages"]]
    assert (said["AlarmName"], said["NewStateValue"], said["AlarmRule"]) == (both, "ALARM", rule)
    assert "Trigger" not in said


def test_suppression_is_refused_by_name(client: Any, fresh: Any) -> None:
    with pytest.raises(ClientError, match="ActionsSuppressor is not covered by the local cloud"):
        client("cloudwatch").put_composite_alarm(
            AlarmName=fresh("Both"), AlarmRule="TRUE", ActionsSuppressor="other", ActionsSuppressorWaitPeriod=60
        )
