"""A queue holds what can be received, what is delayed and what is being worked on."""

import boto3
import pytest
from moto import mock_aws

from console.queries.waiting import queue_length


def test_a_message_counts_wherever_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    with mock_aws():
        sqs = boto3.client("sqs", region_name="eu-west-1")
        url = sqs.create_queue(QueueName="drops")["QueueUrl"]
        assert queue_length(sqs, url) == 0
        for body, delay_s in (("worked on", 0), ("waits", 0), ("delayed", 60)):
            sqs.send_message(QueueUrl=url, MessageBody=body, DelaySeconds=delay_s)
        assert len(sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=1)["Messages"]) == 1
        assert queue_length(sqs, url) == 3
