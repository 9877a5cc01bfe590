"""The permissions of a policy one by one, and whether a request needed them."""

from __future__ import annotations

import json
from typing import Any

from localcloud.iam.decision import Case
from localcloud.iam.policies import Request
from tests.localcloud.iam.grants import Grant, grants, needed, refusal, without, without_statement

ROLE = "arn:aws:iam::123456789012:role/r"


def policy(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def allow(action: Any, resource: Any, **condition: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource} | ({"Condition": condition} if condition else {})


def case(given: dict[str, Any], action: str, resource: str, **context: str) -> Case:
    values = {name.replace("_", ":"): (value,) for name, value in context.items()}
    request = Request(action=action, resources=(resource,), context=values, principal=(ROLE,))
    return Case(request=request, of_role=(json.dumps(given),))


def test_one_permission_goes_and_the_others_stay() -> None:
    given = policy(allow(["s3:GetObject", "s3:PutObject"], ["a", "b"]), allow("s3:ListBucket", "a"))
    for taken in grants(given):
        left = without(given, taken)
        for grant in grants(given):
            reason = refusal(case(given, grant.action, grant.resource), left)
            assert (reason is not None) == ((grant.action, grant.resource) == (taken.action, taken.resource))
    assert [one["Action"] for one in without_statement(given, 0)["Statement"]] == ["s3:ListBucket"]


def test_a_permission_is_needed_where_nothing_else_allows_the_request() -> None:
    get, put = Grant(statement=0, action="s3:GetObject", resource="a/*"), "s3:PutObject"
    given = policy(allow("s3:GetObject", "a/*"))
    asked = case(given, "s3:GetObject", "a/1")
    assert needed(get, given, [case(given, put, "a/1"), asked]) is asked
    assert needed(get, given, [case(given, put, "a/1"), case(given, "s3:GetObject", "b/1")]) is None
    twice = policy(allow("s3:GetObject", "a/*"), allow("s3:*", "*"))
    assert needed(get, twice, [case(twice, "s3:GetObject", "a/1")]) is None


def test_a_condition_is_part_of_the_permission() -> None:
    given = policy(allow("s3:ListBucket", "a", StringLike={"s3:prefix": "in/*"}))
    (grant,) = grants(given)
    inside, outside = (case(given, "s3:ListBucket", "a", s3_prefix=prefix) for prefix in ("in/1", "out/1"))
    assert needed(grant, given, [outside]) is None
    assert needed(grant, given, [outside, inside]) is inside
