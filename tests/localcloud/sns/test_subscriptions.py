"""A topic's notification reaches a function whole and on its own time, if the function's policy lets it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from localcloud.awslambda import functions
from localcloud.kernel.cloud import Cloud
from tests.localcloud.resources import Resources
from tests.localcloud.waiting import until


@pytest.fixture
def subscribed(client: Callable[[str], Any], aws: Resources) -> Callable[..., tuple[str, str]]:
    """Makes a topic with a function behind it; gives the topic's ARN and the function's name."""

    def make(*, is_permitted: bool = True) -> tuple[str, str]:
        name = aws.function("import json\ndef handler(e, c):\n    print('GOT', json.dumps(e))")
        topic: str = client("sns").create_topic(Name=name)["TopicArn"]
        arn = f"arn:aws:lambda:eu-west-1:123456789012:function:{name}"
        client("sns").subscribe(TopicArn=topic, Protocol="lambda", Endpoint=arn)
        if is_permitted:
            client("lambda").add_permission(
                FunctionName=name, StatementId="sns", Action="lambda:InvokeFunction",
                Principal="sns.amazonaws.com", SourceArn=topic,
            )  # fmt: skip
        return topic, name

    return make


@pytest.fixture
def received(cloud: Cloud, aws: Resources) -> Callable[[str], list[Any]]:
    def read(name: str) -> list[Any]:
        until(lambda: not functions.pending(cloud))
        return aws.printed(name, "GOT")

    return read


def test_the_function_gets_the_whole_notification(client: Any, subscribed: Any, received: Any) -> None:
    topic, name = subscribed()
    attribute = {"kind": {"DataType": "String", "StringValue": "drill"}}
    answer = client("sns").publish(TopicArn=topic, Subject="s", Message="hello", MessageAttributes=attribute)
    (event,) = received(name)
    (record,) = event["Records"]
    said = record["Sns"]
    assert (said["Message"], said["Subject"], said["TopicArn"]) == ("hello", "s", topic)
    assert said["MessageId"] == answer["MessageId"]
    assert said["MessageAttributes"] == {"kind": {"Type": "String", "Value": "drill"}}
    assert record["EventSubscriptionArn"].startswith(topic)


def test_without_permission_nothing_arrives(client: Any, subscribed: Any, received: Any) -> None:
    topic, name = subscribed(is_permitted=False)
    client("sns").publish(TopicArn=topic, Message="hello")
    assert received(name) == []


def test_an_address_is_pending_and_its_mail_is_kept(client: Any, fresh: Any) -> None:
    topic, address = client("sns").create_topic(Name=fresh("topic"))["TopicArn"], f"{fresh('owner')}@example.com"
    client("sns").subscribe(TopicArn=topic, Protocol="email", Endpoint=address)
    client("sns").publish(TopicArn=topic, Subject="ALARM", Message="look")
    client("sns").publish(TopicArn=topic, Message="again")
    (listed,) = client("sns").list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    assert (listed["SubscriptionArn"], listed["Endpoint"]) == ("PendingConfirmation", address)
    kept = until(
        lambda: client("logs").filter_log_events(logGroupName="/local/mail", logStreamNames=[address])["events"]
    )
    name = topic.rpartition(":")[2]
    assert [json.loads(event["message"]) for event in kept] == [
        {"topic": name, "subject": "ALARM", "message": "look"},
        {"topic": name, "subject": "AWS Notification Message", "message": "again"},
    ]


def test_a_queue_is_listed_with_its_arn(cloud: Any, client: Any, fresh: Any) -> None:
    topic, queue = client("sns").create_topic(Name=fresh("topic"))["TopicArn"], fresh("queue")
    client("sqs").create_queue(QueueName=queue)
    endpoint = f"arn:aws:sqs:{cloud.region}:123456789012:{queue}"
    client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=endpoint)
    (listed,) = client("sns").list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    assert listed["SubscriptionArn"].startswith(f"{topic}:")
