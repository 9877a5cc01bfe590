"""An e-mail subscription stays pending; what it would be sent can be read."""

from __future__ import annotations

import json
from typing import Any

from tests.localcloud.waiting import until


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
