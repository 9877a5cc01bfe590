"""A service delivers only where the receiver's policy and its key's policy let it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from localcloud.iam.service_permissions import refusal
from tests.localcloud.resources import Resources, allow, document

RULE = "arn:aws:events:eu-west-1:123456789012:rule/r"
EVENTS = "events.amazonaws.com"


def policy(action: str, *, service: str | list[str] = EVENTS, condition: dict[str, Any] | None = None) -> str:
    conditional = {"Condition": condition} if condition else {}
    return document(allow(action, Principal={"Service": service}, **conditional))


@pytest.fixture
def queue(aws: Resources) -> Callable[..., str]:
    """Makes a queue with attributes; gives its ARN."""
    return lambda **attributes: aws.queue(**attributes).arn


@pytest.mark.parametrize(
    ("condition", "is_allowed"),
    [
        (None, True),
        ({"ArnEquals": {"aws:SourceArn": RULE}}, True),
        ({"ArnLike": {"aws:SourceArn": "arn:aws:events:*:*:rule/*"}}, True),
        ({"StringEquals": {"aws:SourceAccount": "123456789012"}}, True),
        ({"ArnEquals": {"aws:SourceArn": RULE + "2"}}, False),
        ({"StringEquals": {"aws:SourceAccount": "999999999999"}}, False),
    ],
)
def test_conditions_on_the_source(queue: Any, condition: Any, is_allowed: bool) -> None:
    arn = queue(Policy=policy("sqs:SendMessage", condition=condition))
    assert (refusal(arn, EVENTS, RULE) == "") is is_allowed


def test_another_service_or_action_is_refused(queue: Any) -> None:
    assert "does not allow" in refusal(
        queue(Policy=policy("sqs:SendMessage", service="s3.amazonaws.com")), EVENTS, RULE
    )
    assert "does not allow" in refusal(queue(Policy=policy("sqs:ReceiveMessage")), EVENTS, RULE)


def test_the_key_of_the_queue_is_asked_too(client: Any, queue: Any) -> None:
    keys = {
        is_open: client("kms").create_key(Policy=policy("kms:*" if is_open else "kms:Encrypt"))["KeyMetadata"]["KeyId"]
        for is_open in (True, False)
    }
    arns = {is_open: queue(Policy=policy("sqs:SendMessage"), KmsMasterKeyId=key) for is_open, key in keys.items()}
    assert refusal(arns[True], EVENTS, RULE) == ""
    assert "kms:GenerateDataKey" in refusal(arns[False], EVENTS, RULE)


def test_a_topics_default_policy_is_for_the_account(client: Any, fresh: Any) -> None:
    arn = client("sns").create_topic(Name=fresh("topic"))["TopicArn"]
    assert refusal(arn, "cloudwatch.amazonaws.com", "arn:aws:cloudwatch:eu-west-1:123456789012:alarm:a") == ""
    assert "does not allow" in refusal(arn, EVENTS, RULE)


def test_eventbridge_says_no_account_to_a_topic(client: Any, fresh: Any) -> None:
    """A condition on it, in the policy of the topic or of its key, is never met; CloudWatch meets it."""
    alarms, ours = "cloudwatch.amazonaws.com", {"StringEquals": {"aws:SourceAccount": "123456789012"}}

    def topic(publish: str, key: str) -> str:
        made = client("kms").create_key(Policy=key)["KeyMetadata"]["KeyId"]
        attributes = {"Policy": publish, "KmsMasterKeyId": made}
        return str(client("sns").create_topic(Name=fresh("topic"), Attributes=attributes)["TopicArn"])

    both = partial(policy, service=[EVENTS, alarms])
    open_to_all = topic(both("sns:Publish"), both("kms:*"))
    guarded = topic(both("sns:Publish", condition=ours), both("kms:*"))
    guarded_key = topic(both("sns:Publish"), both("kms:*", condition=ours))
    assert [refusal(arn, alarms, RULE) for arn in (open_to_all, guarded, guarded_key)] == ["", "", ""]
    assert refusal(open_to_all, EVENTS, RULE) == ""
    assert "sns:Publish" in refusal(guarded, EVENTS, RULE)
    assert "kms:GenerateDataKey" in refusal(guarded_key, EVENTS, RULE)
