"""Policy documents, decided without a cloud."""

from __future__ import annotations

import json
from typing import Any

import pytest

from localcloud.iam.policies import Request, verdict


def decided(*, resource: str = "*", requested: str = "arn:aws:s3:::b/k", condition: Any = None) -> bool:
    statement = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": resource, "Condition": condition or {}}
    request = Request(action="s3:GetObject", resources=(requested,), context={"s3:prefix": ("a*",)})
    return verdict([json.dumps({"Statement": [statement]})], request) == "Allow"


@pytest.mark.parametrize(
    ("resource", "requested", "is_met"),
    [
        ("arn:aws:s3:::b/${*}/x", "arn:aws:s3:::b/*/x", True),
        ("arn:aws:s3:::b/${*}/x", "arn:aws:s3:::b/any/x", False),
        ("arn:aws:s3:::b/${*}/x", "arn:aws:s3:::b/[any]/x", False),
        ("arn:aws:s3:::b/${?}*", "arn:aws:s3:::b/?any", True),
        ("arn:aws:s3:::b/${?}*", "arn:aws:s3:::b/any", False),
        ("arn:aws:s3:::b/${$}", "arn:aws:s3:::b/$", True),
    ],
)
def test_a_wildcard_in_braces_is_the_character_itself(resource: str, requested: str, is_met: bool) -> None:
    assert decided(resource=resource, requested=requested) is is_met


@pytest.mark.parametrize("operator", ["StringEquals", "StringEqualsIgnoreCase", "StringLike"])
@pytest.mark.parametrize(("value", "is_met"), [("a${*}", True), ("b${*}", False)])
def test_a_wildcard_in_braces_is_the_character_itself_in_conditions(operator: str, value: str, is_met: bool) -> None:
    assert decided(condition={operator: {"s3:prefix": value}}) is is_met
