"""Queues as event sources: batches, failures that come back, dead letters, and no message lost."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud.kernel.cloud import Cloud
from localcloud.sqs import queues
from tests.localcloud.resources import Resources, allow
from tests.localcloud.waiting import LIMIT_S, until

SOURCE = """
import json
def handler(event, context):
    bodies = [record["body"] for record in event["Records"]]
    print("BATCH", json.dumps(bodies))
    if "everything" in bodies:
        raise RuntimeError("everything")
    return {"batchItemFailures": [
        {"itemIdentifier": r["messageId"]} for r in event["Records"] if r["body"].startswith("bad")]}
"""


@pytest.fixture
def source(aws: Resources) -> Callable[..., Any]:
    """Makes a queue with dead letters after two receives and a function behind it; their name and URLs."""

    def make(attributes: dict[str, str] | None = None, *, polls: bool = True, **mapping: Any) -> Any:
        dead = aws.queue()
        redrive = json.dumps({"deadLetterTargetArn": dead.arn, "maxReceiveCount": 2})
        queue = aws.queue(RedrivePolicy=redrive, **(attributes or {}))
        name = aws.function(SOURCE, allow("sqs:*", Effect="Allow" if polls else "Deny"))
        aws.client("lambda").create_event_source_mapping(
            EventSourceArn=queue.arn, FunctionName=name, FunctionResponseTypes=["ReportBatchItemFailures"], **mapping
        )
        return name, queue.url, dead.url

    return make


@pytest.fixture
def batches(aws: Resources) -> Callable[[str], list[list[str]]]:
    return lambda name: aws.printed(name, "BATCH")


def test_a_batch_ends_before_its_payload_would_be_too_large(
    cloud: Cloud, client: Any, source: Any, batches: Any
) -> None:
    name, url, _ = source(BatchSize=1000, MaximumBatchingWindowInSeconds=1)
    for number in range(32):
        client("sqs").send_message(QueueUrl=url, MessageBody=f"{number:02}" + "x" * 240_000)
    until(lambda: not any(url.rpartition("/")[2] in line for line in queues.pending(cloud)))
    seen = batches(name)
    assert sorted(body[:2] for batch in seen for body in batch) == [f"{number:02}" for number in range(32)]
    measured = {"Namespace": "AWS/SQS", "MetricName": "NumberOfMessagesDeleted", "Period": 3600, "Statistics": ["Sum"]}
    named, now = [{"Name": "QueueName", "Value": url.rpartition("/")[2]}], cloud.clock.now()
    span = {"StartTime": now - timedelta(hours=2), "EndTime": now + timedelta(hours=1)}
    found = client("cloudwatch").get_metric_statistics(**measured, **span, Dimensions=named)["Datapoints"]
    assert sum(one["Sum"] for one in found) == 32
    assert all(sum(map(len, batch)) < 6 * 2**20 for batch in seen)


def test_only_what_failed_comes_back_then_it_is_a_dead_letter(
    cloud: Cloud, client: Any, source: Any, batches: Any
) -> None:
    name, url, dead = source(BatchSize=10)
    client("sqs").set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "1"})
    entries = [{"Id": str(n), "MessageBody": body} for n, body in enumerate(["good", "bad"])]
    client("sqs").send_message_batch(QueueUrl=url, Entries=entries)
    (message,) = client("sqs").receive_message(QueueUrl=dead, WaitTimeSeconds=10)["Messages"]
    assert message["Body"] == "bad"
    assert sorted(body for batch in batches(name) for body in batch) == ["bad", "bad", "good"]


def test_a_failed_batch_is_visible_again_by_the_clock(cloud: Cloud, client: Any, source: Any, batches: Any) -> None:
    name, url, _ = source({"VisibilityTimeout": "3600"})
    client("sqs").send_message(QueueUrl=url, MessageBody="everything")
    until(lambda: any(url.rpartition("/")[2] in line for line in queues.retries(cloud)))
    assert len(batches(name)) == 1
    assert not any(url.rpartition("/")[2] in line for line in queues.pending(cloud)), (
        "nobody waits for a retry that the clock brings"
    )
    cloud.clock.move(cloud.clock.now() + timedelta(hours=2))
    until(lambda: len(batches(name)) == 2)


def test_a_message_older_than_the_retention_is_gone(cloud: Cloud, client: Any, aws: Resources) -> None:
    url = aws.queue(MessageRetentionPeriod="86400").url

    def count() -> int:
        names = ["ApproximateNumberOfMessages"]
        found = client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        return int(found["ApproximateNumberOfMessages"])

    for body in ("old", "new"):
        client("sqs").send_message(QueueUrl=url, MessageBody=body)
        cloud.clock.move(cloud.clock.now() + timedelta(hours=20))
    assert count() == 2, "looked at by nobody so far"
    (kept,) = client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0)["Messages"]
    assert (kept["Body"], count()) == ("new", 1)


def test_a_message_of_any_age_is_given_back(cloud: Cloud, client: Any, fresh: Any) -> None:
    """SQS counts its limit of 12 hours from the receipt."""
    sqs = client("sqs")
    asked = {"QueueUrl": sqs.create_queue(QueueName=fresh("old"))["QueueUrl"], "VisibilityTimeout": 600}
    sqs.send_message(QueueUrl=asked["QueueUrl"], MessageBody="old")
    cloud.clock.move(cloud.clock.now() + timedelta(hours=20))
    for _ in range(2):
        (message,) = sqs.receive_message(**asked)["Messages"]
        handle = {"QueueUrl": asked["QueueUrl"], "ReceiptHandle": message["ReceiptHandle"]}
        sqs.change_message_visibility(**handle, VisibilityTimeout=0)


def test_a_mapping_is_listed_by_the_name_and_by_the_arn_of_its_function(client: Any, source: Any) -> None:
    name, _, _ = source()
    (made,) = client("lambda").list_event_source_mappings(FunctionName=name)["EventSourceMappings"]
    other = client("lambda").create_event_source_mapping(
        FunctionName=made["FunctionArn"], EventSourceArn=made["EventSourceArn"], Enabled=False
    )
    for given in (name, made["FunctionArn"], made["FunctionArn"].partition("eu-west-1:")[2]):
        listed = client("lambda").list_event_source_mappings(FunctionName=given)["EventSourceMappings"]
        assert {one["UUID"] for one in listed} == {made["UUID"], other["UUID"]}
    assert not client("lambda").list_event_source_mappings(FunctionName=f"{name}-2")["EventSourceMappings"]


def test_a_disabled_mapping_is_disabled_when_it_receives_no_more(
    cloud: Cloud, client: Any, source: Any, batches: Any
) -> None:
    """Before that it is `Disabling`: its poller may still take a message."""
    name, url, _ = source()
    (mapping,) = client("lambda").list_event_source_mappings(FunctionName=name)["EventSourceMappings"]
    client("lambda").update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
    seen = []

    def is_disabled() -> bool:
        seen.append(client("lambda").get_event_source_mapping(UUID=mapping["UUID"])["State"])
        return bool(seen[-1] == "Disabled")

    until(is_disabled)
    assert set(seen[:-1]) <= {"Disabling"}
    for body in "xyz":
        client("sqs").send_message(QueueUrl=url, MessageBody=body)
    time.sleep(0.7)
    assert batches(name) == []
    client("lambda").update_event_source_mapping(UUID=mapping["UUID"], Enabled=True)
    until(lambda: batches(name) == [["x", "y", "z"]])


def test_a_role_that_may_not_poll_gets_no_mapping(source: Any) -> None:
    with pytest.raises(ClientError, match="does not have permissions"):
        source(polls=False)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        (
            {"EventSourceArn": "arn:aws:kafka:eu-west-1:123456789012:cluster/s/1"},
            "as event sources only",
        ),
        ({"EventSourceArn": "arn:aws:sqs:eu-west-1:123456789012:q.fifo"}, "does not cover FIFO queues"),
        ({"FilterCriteria": {"Filters": [{"Pattern": "{}"}]}}, "FilterCriteria is not covered"),
        ({"BatchSize": 11}, "Maximum batch window in seconds must be greater than 0"),
        ({"ScalingConfig": {"MaximumConcurrency": 1001}}, "less than or equal to 1000"),
        ({"BisectBatchOnFunctionError": True}, "Unsupported parameter"),
    ],
)
def test_settings_that_aws_refuses_and_other_sources_are_refused(
    client: Any, source: Any, settings: Any, named: str
) -> None:
    name, _, _ = source()
    (made,) = client("lambda").list_event_source_mappings(FunctionName=name)["EventSourceMappings"]
    given = {"EventSourceArn": made["EventSourceArn"], "FunctionName": name, **settings}
    with pytest.raises(ClientError, match=named):
        client("lambda").create_event_source_mapping(**given)
    known = client("lambda").meta.service_model.operation_model("UpdateEventSourceMapping").input_shape.members
    if settings.keys() <= known.keys():
        with pytest.raises(ClientError, match=named):
            client("lambda").update_event_source_mapping(UUID=made["UUID"], **settings)


def test_a_queue_that_shows_messages_again_while_the_function_works_is_refused(source: Any) -> None:
    with pytest.raises(ClientError, match="Queue visibility timeout: 9 seconds is less than Function timeout: 10"):
        source({"VisibilityTimeout": "9"})


def test_no_message_is_lost_or_taken_twice(cloud: Cloud, fresh: Any) -> None:
    """Without the lock moto loses messages here: deletion rebuilds the list that a sender appends to."""
    from moto.sqs.models import sqs_backends

    backend, name = sqs_backends["123456789012"][cloud.region], fresh("queue")
    backend.create_queue(name)
    taken: list[str] = []

    def send(worker: int) -> None:
        for n in range(150):
            backend.send_message(name, f"{worker}-{n}")

    def take(_: int) -> None:
        end = time.monotonic() + LIMIT_S
        while len(taken) < 600 and time.monotonic() < end:
            for message in backend.receive_message(name, 10, 0, 300):
                taken.append(message.body)
                backend.delete_message(name, message.receipt_handle)

    with ThreadPoolExecutor(8) as threads:
        sending, taking = threads.map(send, range(4)), threads.map(take, range(4))
        assert list(sending) + list(taking) == [None] * 8
    assert len(taken) == 600
    assert len(set(taken)) == 600


def test_messages_come_in_batches_and_are_deleted(cloud: Cloud, client: Any, source: Any, batches: Any) -> None:
    name, url, _ = source(BatchSize=5, MaximumBatchingWindowInSeconds=1)
    entries = [{"Id": str(n), "MessageBody": str(n)} for n in range(7)]
    client("sqs").send_message_batch(QueueUrl=url, Entries=entries)
    until(lambda: not any(url.rpartition("/")[2] in line for line in queues.pending(cloud)))
    seen = batches(name)
    assert sorted(body for batch in seen for body in batch) == [str(n) for n in range(7)]
    assert [len(batch) for batch in seen] == [5, 2]
