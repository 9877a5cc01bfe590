"""E-mail subscriptions. They stay pending, as nobody here can confirm them; the messages to them are kept.

AWS sends nothing to an address whose owner has not confirmed:
https://docs.aws.amazon.com/sns/latest/dg/sns-email-notifications.html"""

from __future__ import annotations

import json
from importlib import import_module
from typing import Any

from localcloud.kernel.cloud import Cloud
from localcloud.kernel.patching import replace

PENDING = "PendingConfirmation"
"""What SNS lists in place of the ARN of a subscription that nobody has confirmed."""


def keep(cloud: Cloud, subscription: Any, message: str, subject: str | None) -> None:
    """Append the message to `logs/mail/<address>.log`. CloudWatch Logs shows it in the group /local/mail.

    The line is `{"topic": "alarms", "subject": "…", "message": "…"}`."""
    folder = cloud.workspace / "logs" / "mail"
    folder.mkdir(parents=True, exist_ok=True)
    topic = subscription.topic.arn.rpartition(":")[2]
    line = {"topic": topic, "subject": subject or "AWS Notification Message", "message": message}
    with (folder / f"{subscription.endpoint.replace('/', '_')}.log").open("a") as file:
        file.write(json.dumps(line) + "\n")


def list_as_pending() -> None:
    """Let ListSubscriptionsByTopic show each address as pending, without an ARN.

    May go when moto lists unconfirmed subscriptions as AWS does."""
    responses: Any = import_module("moto.sns.responses").SNSResponse
    action: Any = import_module("moto.core.responses").ActionResult

    def list_subscriptions_by_topic(self: Any) -> Any:
        found, token = self.backend.list_subscriptions_by_topic(
            self._get_param("TopicArn"), next_token=self._get_param("NextToken")
        )
        return action({"Subscriptions": [_listed(one) for one in found], "NextToken": token})

    replace(responses, list_subscriptions_by_topic=list_subscriptions_by_topic)


def _listed(subscription: Any) -> dict[str, str]:
    return {
        "SubscriptionArn": PENDING if subscription.protocol == "email" else subscription.arn,
        "Owner": subscription.owner,
        "Protocol": subscription.protocol,
        "Endpoint": subscription.endpoint,
        "TopicArn": subscription.topic.arn,
    }
