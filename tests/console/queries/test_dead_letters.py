"""What waits for consumers and what was given up; the way back into the stream is whole in end_to_end/test_ends.py."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from moto import mock_aws

from millrace.console.environment import Environment
from millrace.console.queries.dead_letters import (
    ATTEMPTS,
    put_back,
    read_dead_letters,
    redrive,
)
from millrace.console.queries.upgrade import compare
from millrace.errors import EnvironmentNotFoundError, QueueError
from tests.functions.cold_start import NAMES, set_variables


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[Environment]:
    set_variables(monkeypatch)
    with mock_aws():
        yield Environment(platform=NAMES.platform, client=boto3.client)


def queue(name: str, messages: int = 0) -> str:
    sqs = boto3.client("sqs")
    url: str = sqs.create_queue(QueueName=name)["QueueUrl"]
    for number in range(messages):
        sqs.send_message(QueueUrl=url, MessageBody=f"{number}")
    return url


def test_only_a_deployed_consumer_has_dead_letters(environment: Environment) -> None:
    for name in ("drops", "decisions"):
        queue(NAMES.queue(f"{name}-dead"))
    queue(NAMES.platform.queue("events-dead"))
    queue(NAMES.queue("consumer-crm"))
    queue(NAMES.queue("consumer-crm-dead"), 1)
    (letter,) = read_dead_letters(environment, NAMES, "consumer-crm")
    assert letter.body == "0"
    with pytest.raises(EnvironmentNotFoundError, match="consumer-crm, events"):
        redrive(environment, NAMES, "consumer-desk")
    with pytest.raises(EnvironmentNotFoundError, match="a queue that a function reads"):
        redrive(environment, NAMES, "events")


RECORDS = [{"kinesis": {"partitionKey": word, "data": base64.b64encode(word.encode()).decode()}} for word in "abc"]
KEPT = {"KinesisBatchInfo": {"batchSize": 3}, "payload": json.dumps({"Records": RECORDS})}
EVENT = {"detail-type": "Object Created", "detail": {"bucket": {"name": "landing"}, "object": {"key": "aws/lambda/1"}}}


@dataclass
class Throttled:
    """A stream that takes so many records of each call, and an object with three records."""

    takes: int
    put: list[list[str]] = field(default_factory=list)

    def get_object(self, **asked: str) -> dict[str, Any]:
        assert asked == {"Bucket": "landing", "Key": "aws/lambda/1"}
        return {"Body": io.BytesIO(json.dumps(KEPT).encode())}

    def put_records(self, *, StreamName: str, Records: list[dict[str, Any]]) -> dict[str, Any]:
        assert StreamName == NAMES.stream
        assert all(one["Data"] == one["PartitionKey"].encode() for one in Records)
        self.put.append([one["PartitionKey"] for one in Records])
        refused = {"ErrorCode": "ProvisionedThroughputExceededException"}
        return {"Records": [{} if place < self.takes else refused for place in range(len(Records))]}


def put(stream: Throttled, body: Any) -> bool:
    environment: Any = SimpleNamespace(client=lambda _: stream)
    return put_back(environment, NAMES, {"Body": json.dumps(body)})


def test_only_what_was_refused_is_put_again() -> None:
    stream = Throttled(takes=2)
    assert put(stream, EVENT)
    assert stream.put == [["a", "b", "c"], ["c"]]


def test_a_stream_that_takes_nothing_is_an_error_so_the_dead_letter_stays() -> None:
    stream = Throttled(takes=0)
    with pytest.raises(QueueError, match="3 records refused 3 times: ProvisionedThroughput"):
        put(stream, EVENT)
    assert len(stream.put) == ATTEMPTS


def test_a_record_that_was_no_row_is_not_put_again() -> None:
    stream = Throttled(takes=3)
    assert not put(stream, {"reason": "json", "data": "{not json"})
    assert stream.put == []


REGION = "eu-west-1"


def table(**properties: Any) -> dict[str, Any]:
    given = {"TableName": "t", "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}], **properties}
    return {"Type": "AWS::DynamoDB::Table", "DeletionPolicy": "RetainExceptOnCreate", "Properties": given}


QUEUE = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "q"}}
CUSTOM = {"Type": "Custom::Thing", "Properties": {"Size": 1}}


@pytest.mark.parametrize(
    ("before", "after", "change", "properties", "is_refused"),
    [
        (table(), table(BillingMode="PAY_PER_REQUEST"), "changed", "BillingMode", False),
        (table(), table(TableName="other"), "replaced", "TableName", True),
        (table(), table(KeySchema=[]), "replaced", "KeySchema", True),
        (table(), QUEUE, "replaced", "Type", True),
        (table(), None, "removed", "", True),
        (QUEUE, None, "removed", "", False),
        (None, QUEUE, "made", "", False),
        (CUSTOM, {**CUSTOM, "Properties": {"Size": 2}}, "changed", "Size", False),
    ],
)
def test_a_resource_that_would_be_made_anew_or_left_behind_is_refused(
    before: Any, after: Any, change: str, properties: str, is_refused: bool
) -> None:
    (found,) = compare("s", *[{"kept": QUEUE, **({"R": one} if one else {})} for one in (before, after)], REGION)
    assert (found.resource, found.change, found.properties, found.is_refused) == ("R", change, properties, is_refused)
