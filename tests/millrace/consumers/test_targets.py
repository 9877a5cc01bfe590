"""The kinds whose targets moto answers for: what is refused fails the act, and a repetition changes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws

from millrace.consumers.targets import EventBus, ItemTable, Mail, Queue
from millrace.decisions.portion import document
from millrace.errors import ConsumerError
from millrace.names import Platform
from tests.functions.cold_start import set_variables
from tests.millrace.decisions.test_record import DECISION
from tests.state_table import create_lookup

PLATFORM = Platform(stage="dev", account="123456789012", region="eu-west-1")
DOCUMENTS = [document(DECISION) | {"id": f"r-{number}"} for number in range(25)]


@pytest.fixture(autouse=True)
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    set_variables(monkeypatch)
    with mock_aws():
        yield


def test_an_item_for_each_id_and_the_newest_counts() -> None:
    dynamodb = boto3.client("dynamodb")
    create_lookup(dynamodb, "decisions")
    act = ItemTable(to="table", table="decisions").connect(boto3.client, PLATFORM)
    act(DOCUMENTS)
    act(DOCUMENTS)
    newer = DOCUMENTS[0] | {"decided_at": "2026-12-01T00:00:00Z", "action": "review"}
    act([newer])
    act([DOCUMENTS[0]])
    items = {one["id"]["S"]: one for one in dynamodb.scan(TableName="decisions")["Items"]}
    assert len(items) == len(DOCUMENTS)
    assert items["r-0"]["action"]["S"] == "review"
    assert items["r-1"]["answer"]["M"]["probability"] == {"N": "0.75"}


@pytest.mark.parametrize("queue", ["orders", "arn:aws:sqs:eu-west-1:210987654321:orders.fifo"])
def test_a_queue_gets_a_message_for_each_decision(queue: str) -> None:
    """A queue of another account that drops repetitions gets a name of each for that; an answer of a person is none."""
    target, (account, name) = Target(), f"{PLATFORM.account}:{queue}".split(":")[-2:]
    documents = [*DOCUMENTS, DOCUMENTS[0] | {"action": "answered"}]
    Queue(to="queue", queue=queue).connect(lambda _: target, PLATFORM)(documents)
    assert [json.loads(one["MessageBody"]) for one in target.entries] == documents
    assert target.urls == {f"https://sqs.eu-west-1.amazonaws.com/{account}/{name}"}
    named = {one.get("MessageDeduplicationId") for one in target.entries}
    assert len(named) == len(documents) if name.endswith(".fifo") else named == {None}


class Target:
    """SQS and EventBridge as far as they are called: they refuse the last entry of each call if `refuses`."""

    def __init__(self, *, refuses: bool = False) -> None:
        self.refuses, self.entries, self.urls = refuses, list[dict[str, str]](), set[str]()

    def send_message_batch(self, *, QueueUrl: str, Entries: list[dict[str, str]]) -> dict[str, Any]:
        assert len(Entries) <= 10
        self.urls.add(QueueUrl)
        self.entries += Entries
        return {"Failed": [{"Id": Entries[-1]["Id"], "Code": "InternalError"}]} if self.refuses else {}

    def put_events(self, *, Entries: list[dict[str, Any]]) -> dict[str, Any]:
        assert len(Entries) <= 10
        assert json.loads(Entries[0]["Detail"])["id"] == "r-0"
        return {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "InternalError"}]}


@pytest.mark.parametrize("consumer", [Queue(to="queue", queue="orders"), EventBus(to="event", bus="orders")])
def test_what_is_refused_fails_all(consumer: Queue | EventBus) -> None:
    with pytest.raises(ConsumerError, match="InternalError"):
        consumer.connect(lambda _: Target(refuses=True), PLATFORM)(DOCUMENTS)


def test_a_mail_lists_the_ids() -> None:
    sns, sqs = boto3.client("sns"), boto3.client("sqs")
    topic = sns.create_topic(Name="desk")["TopicArn"]
    url = sqs.create_queue(QueueName="inbox")["QueueUrl"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=PLATFORM.arn("sqs", "inbox"))
    Mail(to="mail", topic="desk").connect(boto3.client, PLATFORM)(DOCUMENTS)
    (message,) = sqs.receive_message(QueueUrl=url)["Messages"]
    said = json.loads(message["Body"])
    assert said["Subject"] == "electricity: 25 decisions"
    assert [line.split()[0] for line in said["Message"].splitlines()] == [one["id"] for one in DOCUMENTS]


@given(name=st.text(), key=st.dictionaries(st.text(), st.one_of(st.text(), st.integers(), st.none())))
def test_nothing_that_a_caller_chooses_makes_a_line_of_a_mail(name: str, key: dict[str, Any]) -> None:
    """Nor a field of its line: what is no plain word is in quotes."""
    sent: list[str] = []

    class Topic:
        def publish(self, *, Message: str, **_: str) -> None:
            sent.append(Message)

    one = DOCUMENTS[0] | {"id": name, "key": key}
    Mail(to="mail", topic="desk").connect(lambda _: Topic(), PLATFORM)([one, one])
    assert [line.isprintable() for line in sent[0].split("\n")] == [True, True]
    forged = DOCUMENTS[0] | {"key": {"customer": "x\nr-2  automated (sure)  customer=boss"}}
    Mail(to="mail", topic="desk").connect(lambda _: Topic(), PLATFORM)([forged])
    assert 'customer="x\\nr-2  automated (sure)  customer=boss"' in sent[1]
