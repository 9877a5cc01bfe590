"""Events about objects, as they come twice, in another wording, from elsewhere or when all slots are taken."""

from __future__ import annotations

import json
import sys
from typing import Any

import boto3
import pytest

from millrace.errors import NoDropError
from millrace.messages.ingest import start_of
from millrace.state.pointers import Pointers, Version
from tests.functions.cold_start import NAMES
from tests.functions.conftest import Aws

CHAMPION = Version(package_arn="p/1", version="1", model_name="m", run="r", baseline_uri="")
WAIT = {"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 600, "End": True}}}


@pytest.fixture
def states(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> Any:
    client = boto3.client("stepfunctions")
    for machine in ("ingest", "score"):
        client.create_state_machine(
            name=NAMES.machine(machine),
            definition=json.dumps(WAIT),
            roleArn="arn:aws:iam::123456789012:role/millrace-local-electricity-ingest",
        )
    dead = boto3.client("sqs").create_queue(QueueName=NAMES.queue("drops-dead"))["QueueUrl"]
    monkeypatch.setenv(
        "MILLRACE_QUEUE_URL", boto3.client("sqs").create_queue(QueueName=NAMES.queue("drops"))["QueueUrl"]
    )
    monkeypatch.setenv("MILLRACE_DEAD_QUEUE_URL", dead)
    monkeypatch.setenv("MILLRACE_SLOTS", "2")
    return client


def changed(event: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The queue's event with fields of S3's event replaced; `key` and `version` are the object's."""
    body = json.loads(event["Records"][0]["body"])
    item = body["detail"]["object"]
    item["key"], item["version-id"] = changes.pop("key", item["key"]), changes.pop("version", item["version-id"])
    body |= changes
    return {"Records": [event["Records"][0] | {"body": json.dumps(body)}]}


def running(states: Any, machine: str = "ingest") -> list[str]:
    return [run["name"] for run in states.list_executions(stateMachineArn=NAMES.machine_arn(machine))["executions"]]


def test_a_drop_starts_its_machine_with_what_is_needed(states: Any, load: Any, event: Any) -> None:
    assert load("intake")(event("intake")) == {"batchItemFailures": []}
    (name,) = running(states)
    assert len(name) == 64
    given = json.loads(states.describe_execution(executionArn=NAMES.execution_arn("ingest", name))["input"])
    assert given == {
        "cause": "17793124-05d4-b198-2fde-7ededc63b103",
        "as_of": "1997-01-01T00:00:00Z",
        "detail": {
            "workload": "electricity",
            "feed": "training",
            "objects": [
                {
                    "bucket": NAMES.platform.bucket("landing"),
                    "key": "electricity/training/1996-05 a+b.parquet",
                    "version_id": "IYV3p45BT0ac8hjHg1houSdS1a.Mro8e",
                    "size": 23755,
                    "sequencer": "00617F08299329D189",  # pragma: allowlist secret
                }
            ],
        },
    }


@pytest.mark.parametrize(("feed", "machine"), [("training", "ingest"), ("labels", "ingest"), ("scoring", "score")])
def test_each_feed_has_its_machine(feed: str, machine: str, states: Any, load: Any, event: Any, aws: Aws) -> None:
    aws.pointers.move(Pointers(champion=CHAMPION))
    load("intake")(changed(event("intake"), key=f"electricity/{feed}/x.csv"))
    assert len(running(states, machine)) == 1


def test_a_redelivery_has_the_same_bytes_and_starts_nothing(states: Any, load: Any, event: Any) -> None:
    body = event("intake")["Records"][0]["body"]
    assert start_of(body, NAMES) == start_of(body, NAMES)
    handler = load("intake")
    for _ in range(3):
        assert handler(event("intake")) == {"batchItemFailures": []}
    assert len(running(states)) == 1


def test_another_event_about_the_same_version_is_a_quiet_duplicate(
    states: Any, load: Any, event: Any, aws: Aws
) -> None:
    handler = load("intake")
    handler(event("intake"))
    assert handler(changed(event("intake"), id="other", time="1997-01-01T00:00:09Z")) == {"batchItemFailures": []}
    (name,) = running(states)
    assert name
    assert slots(aws) == [NAMES.execution_arn("ingest", name)], "it runs: its slot stays"


def test_an_event_that_comes_when_its_execution_has_ended_keeps_no_slot(
    states: Any, load: Any, event: Any, aws: Aws
) -> None:
    handler = load("intake")
    handler(event("intake"))
    arn = NAMES.execution_arn("ingest", running(states)[0])
    states.stop_execution(executionArn=arn)
    aws.slots.free("ingest", arn)
    assert handler(changed(event("intake"), id="other")) == {"batchItemFailures": []}
    assert (len(running(states)), slots(aws)) == (1, [])


def test_another_version_of_the_key_is_another_execution(states: Any, load: Any, event: Any) -> None:
    handler = load("intake")
    handler(event("intake"))
    handler(changed(event("intake"), version="2"))
    assert len(running(states)) == 2


class Sent:
    """What was sent to a queue, in place of one whose delays a test would have to wait for."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []

    def send_message(self, **message: Any) -> None:
        self.messages.append(message)

    def record(self) -> dict[str, Any]:
        """The last message as Lambda brings it."""
        (name, given), *_ = self.messages[-1]["MessageAttributes"].items()
        attribute = {"stringValue": given["StringValue"], "dataType": given["DataType"]}
        record = {
            "messageId": "again",
            "body": self.messages[-1]["MessageBody"],
            "messageAttributes": {name: attribute},
        }
        return {"receiptHandle": "r", "eventSource": "aws:sqs", "attributes": {}, **record}


def test_without_a_free_slot_a_message_waits_and_costs_no_receive(
    states: Any, load: Any, event: Any, aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler, sent = load("intake"), Sent()
    monkeypatch.setattr(sys.modules["functions.intake.handler"], "SQS", sent)
    records = [changed(event("intake"), version=str(n))["Records"][0] | {"messageId": f"m{n}"} for n in range(3)]
    assert handler({"Records": records}) == {"batchItemFailures": []}
    assert len(running(states)) == 2
    (first,) = sent.messages
    assert first["MessageBody"] == records[2]["body"]
    for _ in range(30):
        assert handler({"Records": [sent.record()]}) == {"batchItemFailures": []}
    delays = [message["DelaySeconds"] for message in sent.messages]
    usual = [min(300, 10 * 1.2**waits) for waits in range(31)]
    assert all(0.5 * one - 1 <= delay <= 1.5 * one + 1 for one, delay in zip(usual, delays, strict=True))
    assert (usual[1], usual[-1]) == (12, 300)
    assert len(set(delays[20:])) > 5, "drops of one burst come back one after the other"
    aws.slots.free("ingest", slots(aws)[0])
    assert handler({"Records": [sent.record()]}) == {"batchItemFailures": []}
    assert len(running(states)) == 3


def test_drops_to_score_wait_for_the_first_model_without_a_slot(
    states: Any, load: Any, event: Any, aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As executions two of them would hold both slots until the first release."""
    handler, sent = load("intake"), Sent()
    monkeypatch.setattr(sys.modules["functions.intake.handler"], "SQS", sent)
    dropped = [changed(event("intake"), key=f"electricity/scoring/{n}.csv")["Records"][0] for n in range(3)]
    records = [record | {"messageId": f"m{n}"} for n, record in enumerate(dropped)]
    assert handler({"Records": records}) == {"batchItemFailures": []}
    assert [message["MessageBody"] for message in sent.messages] == [record["body"] for record in records]
    assert (running(states, "score"), aws.slots.holdings()) == ([], [])
    handler(changed(event("intake")))
    assert len(running(states)) == 1, "training goes on"
    aws.pointers.move(Pointers(champion=CHAMPION))
    handler({"Records": [sent.record()]})
    assert len(running(states, "score")) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"key": "income/training/x.csv"},
        {"key": "electricity/secrets/x.csv"},
        {"key": "electricity/training/"},
        {"key": "../electricity/training/x.csv"},
        {"source": "forged"},
        {"detail-type": "Object Deleted"},
    ],
)
def test_what_is_no_drop_of_ours_goes_to_the_dead_letters_with_the_reason(
    changes: dict[str, str], states: Any, load: Any, event: Any
) -> None:
    good = event("intake")["Records"][0] | {"messageId": "good"}
    bad = changed(event("intake"), **changes)["Records"][0]
    assert load("intake")({"Records": [bad, good]}) == {"batchItemFailures": []}
    assert len(running(states)) == 1, "the others of the batch are not held up"
    sqs = boto3.client("sqs")
    url = sqs.get_queue_url(QueueName=NAMES.queue("drops-dead"))["QueueUrl"]
    (message,) = sqs.receive_message(QueueUrl=url, MessageAttributeNames=["All"])["Messages"]
    assert message["Body"] == bad["body"]
    assert ", came " in message["MessageAttributes"]["reason"]["StringValue"]


@pytest.mark.parametrize("body", ["", "{", "[]", '{"detail": 5}', '{"id": 1}'])
def test_a_message_that_is_no_event_says_what_is_wrong(body: str) -> None:
    with pytest.raises(NoDropError, match="came"):
        start_of(body, NAMES)


def test_a_start_that_fails_leaves_no_slot_behind(states: Any, load: Any, aws: Aws, event: Any) -> None:
    states.delete_state_machine(stateMachineArn=NAMES.machine_arn("ingest"))
    told = event("intake")
    comes_again = [{"itemIdentifier": record["messageId"]} for record in told["Records"]]
    assert load("intake")(told) == {"batchItemFailures": comes_again}
    assert slots(aws) == []


def test_the_limit_of_slots_is_kept(states: Any, load: Any, aws: Aws, event: Any) -> None:
    for holder in ("one", "two"):
        aws.slots.take("ingest", holder=holder, limit=2)
    assert load("intake")(event("intake")) == {"batchItemFailures": []}
    assert running(states) == []


def slots(aws: Aws) -> list[str]:
    key = {"pk": {"S": NAMES.workload}, "sk": {"S": "slots#ingest"}}
    item = aws.dynamodb.get_item(TableName=NAMES.platform.state_table, Key=key).get("Item", {})
    holders: list[str] = item.get("holders", {"SS": []})["SS"]
    return sorted(holders)
