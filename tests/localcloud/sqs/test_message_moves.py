"""Dead letters go back to their queue by StartMessageMoveTask; from another queue nothing is moved."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.localcloud.resources import Resources


@pytest.fixture
def queues(aws: Resources) -> tuple[str, str, str]:
    """URLs of a queue and of its dead letters, and the ARN of the latter; one receive is enough to be dead."""
    dead = aws.queue()
    policy = json.dumps({"deadLetterTargetArn": dead.arn, "maxReceiveCount": 1})
    return aws.queue(RedrivePolicy=policy, VisibilityTimeout="0").url, dead.url, dead.arn


def received(client: Any, url: str) -> list[dict[str, Any]]:
    answer = client("sqs").receive_message(
        QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"], AttributeNames=["All"], VisibilityTimeout=0
    )
    return list(answer.get("Messages", []))


def test_a_dead_letter_goes_back_as_a_new_message(client: Any, queues: tuple[str, str, str]) -> None:
    url, dead, arn = queues
    kind = {"kind": {"DataType": "String", "StringValue": "drop"}}
    client("sqs").send_message(QueueUrl=url, MessageBody="one", MessageAttributes=kind)
    assert [one["Body"] for one in received(client, url)] == ["one"]
    assert received(client, url) == []
    assert [one["Body"] for one in received(client, dead)] == ["one"]
    assert client("sqs").start_message_move_task(SourceArn=arn)["TaskHandle"]
    (back,) = received(client, url)
    assert (back["Body"], back["Attributes"]["ApproximateReceiveCount"]) == ("one", "1")
    assert back["MessageAttributes"]["kind"]["StringValue"] == "drop"
    assert received(client, dead) == []


def test_a_queue_that_takes_no_dead_letters_moves_nothing(client: Any, queues: tuple[str, str, str]) -> None:
    url, _, arn = queues
    client("sqs").send_message(QueueUrl=url, MessageBody="one")
    with pytest.raises(ClientError, match="Dead Letter Queue"):
        client("sqs").start_message_move_task(SourceArn=arn.rpartition(":")[0] + ":" + url.rpartition("/")[2])
    with pytest.raises(ClientError, match="does not exist"):
        client("sqs").start_message_move_task(SourceArn=f"{arn}-not")
    assert [one["Body"] for one in received(client, url)] == ["one"]
