"""The examples of AWS's page on input transformation, and what CDK writes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from localcloud.events.rules import target_input

EVENT = {
    "version": "0",
    "id": "7bf73129",
    "detail-type": "EC2 Instance State-change Notification",
    "source": "aws.ec2",
    "resources": ["arn:aws:ec2:us-east-1:123456789012:instance/i-abcd1111"],
    "detail": {"instance-id": "i-0123456789", "state": "RUNNING", "n": 3, "tags": [{"k": "a"}, {"k": "b"}]},
}
PATHS = {
    "instance": "$.detail.instance-id",
    "state": "$.detail.state",
    "n": "$.detail.n",
    "detail": "$.detail",
    "first": "$.resources[0]",
    "keys": "$.detail.tags[*].k",
    "nowhere": "$.detail.object.key",
}
RESERVED = {
    "aws.events.rule-name": "example",
    "aws.events.event.json": EVENT,
    "aws.events.event.ingestion-time": "2015-11-11T21:29:54Z",
}


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ('"instance <instance> is in <state>"', "instance i-0123456789 is in RUNNING"),
        ('{"instance": <instance>, "state": "<state>"}', {"instance": "i-0123456789", "state": "RUNNING"}),
        ('{"status": "instance \\"<instance>\\" is in <state>"}', {"status": 'instance "i-0123456789" is in RUNNING'}),
        ('{"list": [9, <state>, true], "n": <n>}', {"list": [9, "RUNNING", True], "n": 3}),
        ('{"detail": <detail>, "first": <first>}', {"detail": EVENT["detail"], "first": EVENT["resources"][0]}),
        ('{"keys": <keys>}', {"keys": ["a", "b"]}),
        ('{"missing": <nowhere>, "text": "a<nowhere>b"}', {"missing": None, "text": "ab"}),
        ('{"original": <aws.events.event.json>}', {"original": EVENT}),
        ('"<aws.events.rule-name> at <aws.events.event.ingestion-time>"', "example at 2015-11-11T21:29:54Z"),
        ('{"less": "a <unknown> b"}', {"less": "a <unknown> b"}),
    ],
)
def test_template(template: str, expected: Any) -> None:
    target = {"InputTransformer": {"InputPathsMap": PATHS, "InputTemplate": template}}
    assert json.loads(target_input(target, EVENT, RESERVED)) == expected


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ({}, EVENT),
        ({"Input": '{"a": 1}'}, {"a": 1}),
        ({"InputPath": "$.detail.state"}, "RUNNING"),
        ({"InputPath": "$.detail"}, EVENT["detail"]),
    ],
)
def test_whole_part_or_constant(target: dict[str, Any], expected: Any) -> None:
    assert json.loads(target_input(target, EVENT, RESERVED)) == expected


def test_values_are_not_escaped_inside_quotes() -> None:
    """AWS says so on its page; the target then gets text that is not JSON."""
    target = {"InputTransformer": {"InputPathsMap": {"s": "$.s"}, "InputTemplate": '{"a": "<s>"}'}}
    assert target_input(target, {"s": 'a "quoted" word'}, {}) == '{"a": "a "quoted" word"}'
