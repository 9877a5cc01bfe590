"""Amazon SNS: topics deliver to queues and functions. By topics the owners of a workload hear of alarms and failures.

AWS does: ask the policy of the receiver, and invoke functions asynchronously.
moto does: ask no policy, call a function inside Publish, and raise its failure to the publisher.
We do: ask the policy. A function gets the whole notification from our own queue.
Weaker: an e-mail becomes a line of the log group /local/mail, and its address stays pending. Telephones get nothing.
"""

from __future__ import annotations

import json
import logging
from importlib import import_module
from typing import Any

from localcloud.events.targets import invoke_later
from localcloud.iam.service_permissions import refusal
from localcloud.kernel.cloud import Cloud
from localcloud.kernel.message_size import size_of
from localcloud.kernel.patching import replace
from localcloud.kernel.quotas import quota

# Delivers a topic's notifications to queues and functions, and keeps what would be sent by e-mail.

LOG = logging.getLogger(__name__)
PENDING = "PendingConfirmation"
"""What SNS lists in place of the ARN of a subscription that nobody has confirmed.

An e-mail's stays so here. AWS sends nothing to an address whose owner has not confirmed:
https://docs.aws.amazon.com/sns/latest/dg/sns-email-notifications.html"""


def deliver_notifications(cloud: Cloud) -> None:
    """Deliver the notifications of all subscriptions from now on.

    May go when moto asks the receiver's policy and invokes functions asynchronously with the whole notification."""
    kind: Any = import_module("moto.sns.models").Subscription
    publish = kind.publish

    def deliver(
        self: Any,
        message: str,
        message_id: str,
        subject: str | None = None,
        message_attributes: dict[str, Any] | None = None,
        **other: Any,
    ) -> None:
        # moto calls this for each subscription of the topic. It still delivers to queues itself, once their policy has
        # been checked here.
        if self.protocol in ("sqs", "lambda") and (
            reason := refusal(self.endpoint, "sns.amazonaws.com", self.topic.arn)
        ):
            LOG.warning("not delivered: %s", reason)
        elif self.protocol == "email" and _is_wanted(self, message, message_attributes):
            keep_mail(cloud, self, message, subject)
        elif self.protocol != "lambda":
            publish(self, message, message_id, subject, message_attributes, **other)
        elif _is_wanted(self, message, message_attributes):
            # With this structure the publisher gives a text for each protocol: {"default": "…", "lambda": "…"}.
            if other.get("message_structure") == "json":
                message = self._parse_message_structure(message, "lambda")
            event = _event(cloud, self, message, message_id, subject, message_attributes or {})
            invoke_later(cloud, self.endpoint, json.dumps(event))

    replace(kind, publish=deliver)


def keep_mail(cloud: Cloud, subscription: Any, message: str, subject: str | None) -> None:
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


def _is_wanted(subscription: Any, message: str, attributes: dict[str, Any] | None) -> bool:
    """Whether the subscription's filter policy lets the notification through; moto keeps the policy as a matcher."""
    matcher = subscription._filter_policy_matcher
    return matcher is None or bool(matcher.matches(attributes, message))


def _event(
    cloud: Cloud, subscription: Any, message: str, message_id: str, subject: str | None, attributes: dict[str, Any]
) -> dict[str, Any]:
    notification = {
        "Type": "Notification",
        "MessageId": message_id,
        "TopicArn": subscription.topic.arn,
        "Subject": subject,
        "Message": message,
        "Timestamp": cloud.clock.now().isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "SignatureVersion": "1",
        "Signature": "local",
        "SigningCertUrl": "",
        "UnsubscribeUrl": "",
        "MessageAttributes": {
            name: {"Type": attribute["Type"], "Value": attribute["Value"]} for name, attribute in attributes.items()
        },
    }
    record = {
        "EventSource": "aws:sns",
        "EventVersion": "1.0",
        "EventSubscriptionArn": subscription.arn,
        "Sns": notification,
    }
    return {"Records": [record]}


LIMIT_BYTES = quota("sns", "message")


def limit_messages() -> None:
    """Let Publish refuse a notification that is too large. May go when moto counts bytes as AWS does."""
    backend: Any = import_module("moto.sns.models").SNSBackend
    error: Any = import_module("moto.sns.exceptions").InvalidParameterValue
    publish = backend.publish

    def limited(self: Any, message: str, *given: Any, message_attributes: Any = None, **named: Any) -> Any:
        if size_of(message, message_attributes) > LIMIT_BYTES:
            raise error("Invalid parameter: Message too long")
        return publish(self, message, *given, message_attributes=message_attributes, **named)

    replace(backend, publish=limited)


def install(cloud: Cloud) -> None:
    deliver_notifications(cloud)
    list_as_pending()
    limit_messages()
