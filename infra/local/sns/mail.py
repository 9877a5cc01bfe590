"""E-mail subscriptions: they stay pending, as nobody here can confirm; what they would be sent is kept.

AWS sends nothing to an address whose owner has not confirmed:
https://docs.aws.amazon.com/sns/latest/dg/sns-email-notifications.html"""

from __future__ import annotations

import json
from importlib import import_module
from typing import Any

from infra.local.kernel.cloud import Cloud
from infra.local.kernel.patching import replace

PENDING = "PendingConfirmation"
"""What SNS lists in place of the ARN of such a subscription."""


def keep(cloud: Cloud, subscription: Any, message: str, subject: str | None) -> None:
    """Append the message to `logs/mail/<address>.log`; CloudWatch Logs has it as a stream of the group /local/mail."""
    folder = cloud.workspace / "logs" / "mail"
    folder.mkdir(parents=True, exist_ok=True)
    topic = subscription.topic.arn.rpartition(":")[2]
    line = {"topic": topic, "subject": subject or "AWS Notification Message", "message": message}
    with (folder / f"{subscription.endpoint.replace('/', '_')}.log").open("a") as file:
        file.write(json.dumps(line) + "\n")


def list_as_pending() -> None:
    """An address is listed without an ARN, as long as its owner has not confirmed it."""
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
