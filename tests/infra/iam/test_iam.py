"""Merged statements allow the same requests as before, and say each permission once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.infra.iam import people, sagemaker_endpoints, state_table
from millrace.infra.iam.buckets import ARTEFACTS, LAKE
from millrace.infra.iam.resource import Statement, every, merged, policy, resource
from millrace.infra.rules.sizes import characters
from millrace.names import Platform, WorkloadNames
from millrace.people import ROLES, Role

ACTIONS = ("s3:GetObject", "s3:PutObject", "sqs:SendMessage")
ARNS = ("lake", "lake/a", "lake/a/b", "lake/a/*", "lake/*", "queue", "*")
REQUESTED = tuple(arn for arn in ARNS if "*" not in arn)
CONDITIONS: tuple[Mapping[str, Mapping[str, Any]], ...] = (
    {},
    {"StringEquals": {"k": "x"}},
    {"StringEquals": {"k": ["x"]}},
    {"StringEquals": {"k": ["x", "y"]}},
    {"StringEquals": {"k": ["y", "z"]}},
    {"StringLike": {"k": ["x*", "z"]}},
    {"StringNotEquals": {"k": ["x"]}},
    {"StringNotEquals": {"k": ["x", "y"]}},
    {"StringEquals": {"k": ["x", "y"], "l": "x"}},
    {"StringEquals": {"l": ["x", "y"]}},
)
VALUES = ("x", "xx", "y", "z")
OPERATORS = {
    "StringEquals": lambda value, wanted: value in wanted,
    "StringLike": lambda value, wanted: any(fnmatchcase(value, each) for each in wanted),
    "StringNotEquals": lambda value, wanted: value not in wanted,
}


def statement(actions: Iterable[str], arns: Iterable[str], condition: Mapping[str, Mapping[str, Any]]) -> Statement:
    return Statement(actions=tuple(actions), resources=tuple(arns), conditions=condition)


statements = st.lists(
    st.builds(
        statement,
        st.lists(st.sampled_from(ACTIONS), min_size=1, unique=True),
        st.lists(st.sampled_from(ARNS), min_size=1, unique=True),
        st.sampled_from(CONDITIONS),
    ),
    max_size=5,
)


def holds(condition: Mapping[str, Mapping[str, Any]], context: Mapping[str, str]) -> bool:
    """Whether all keys hold: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition.html"""
    return all(
        OPERATORS[operator](context[key], [wanted] if isinstance(wanted, str) else wanted)
        for operator, keys in condition.items()
        for key, wanted in keys.items()
    )


def allowed(several: Iterable[Statement]) -> set[tuple[str, str, str, str]]:
    """Every request that a statement allows: action, resource, and the values of the two keys."""
    return {
        (action, arn, first, second)
        for one in several
        for action, arn, first, second in product(one.actions, REQUESTED, VALUES, VALUES)
        if any(fnmatchcase(arn, each) for each in one.resources) and holds(one.conditions, {"k": first, "l": second})
    }


@given(statements)
def test_the_same_is_allowed(several: list[Statement]) -> None:
    assert allowed(merged(several)) == allowed(several)


@given(statements)
def test_each_action_on_a_resource_is_there_once_under_a_condition(several: list[Statement]) -> None:
    done = merged(several)
    said = [(a, arn, str(one.conditions)) for one in done for a, arn in product(one.actions, one.resources)]
    assert [one for one, times in Counter(said).items() if times > 1] == []
    assert Counter(map(str, merged(done))) == Counter(map(str, done)), "a second time changes nothing"


def names(region: str = "eu-west-1") -> WorkloadNames:
    platform = Platform(stage="dev", account="123456789012", region=region)
    return WorkloadNames(platform=platform, workload="air_quality")


def test_a_wildcard_needs_a_reason() -> None:
    with pytest.raises(ValueError, match=r"expected whole action names, got \['s3:\*'\]"):
        resource("s3", "arn:aws:s3:::lake").may("s3:*")
    with pytest.raises(ValueError, match=r"expected a reason \(because=…\) for the wildcard in \['\*'\]"):
        resource("s3", "*")
    with pytest.raises(ValueError, match=r"expected a reason .* in \['b/\*'\]"):
        resource("s3", "a", "b/*")
    assert every("s3", because="There is none").may("GetObject").reasons == {"*": "There is none"}


def test_a_folder_that_nobody_has_explained_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected folders of .*'staging'.*, got \['secrets'\]"):
        LAKE.read(names(), "secrets")
    with pytest.raises(
        ValueError,
        match=r"bucket artefacts: expected folders of \['checkpoints', 'external', 'runs'\], got \['staging'\]",
    ):
        ARTEFACTS.find(names(), "runs", "staging")


def test_a_bucket_ends_at_the_workloads_folder() -> None:
    arn = "arn:aws:s3:::millrace-dev-lake-123456789012-eu-west-1"
    assert LAKE.write(names(), "staging", "quarantine/feed=labels").resources == (
        f"{arn}/air_quality/staging/*",
        f"{arn}/air_quality/quarantine/feed=labels/*",
    )
    found = LAKE.find(names(), "staging")
    assert found.resources == (arn,)
    assert found.conditions == {"StringLike": {"s3:prefix": ["air_quality/staging/*"]}}


@pytest.mark.parametrize(("region", "end"), [("eu-west-1", "com"), ("cn-north-1", "com.cn"), ("us-gov-west-1", "com")])
def test_the_region_says_what_addresses_end_in(region: str, end: str) -> None:
    """https://docs.amazonaws.cn/en_us/aws/latest/userguide/endpoints-arns.html"""
    there = names(region).platform
    assert there.queue_url("a") == f"https://sqs.{region}.amazonaws.{end}/123456789012/a"
    assert there.repository_uri("training") == (f"123456789012.dkr.ecr.{region}.amazonaws.{end}/millrace-dev-training")


@pytest.mark.parametrize(
    ("region", "partition"), [("eu-west-1", "aws"), ("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")]
)
def test_the_region_says_the_partition_of_every_arn(region: str, partition: str) -> None:
    there = names(region)
    statements = [
        state_table.own_items(there).may("GetItem"),
        LAKE.read(there, "staging"),
        *sagemaker_endpoints.scale(there),
    ]
    arns = [arn for one in statements for arn in one.resources]
    assert len(arns) > 3
    assert {arn.split(":")[1] for arn in arns} == {partition}
    assert there.role_arn("cleanup") == f"arn:{partition}:iam::123456789012:role/millrace-dev-air-quality-cleanup"


@pytest.mark.parametrize("role", ROLES)
def test_the_policy_of_a_role_of_people_fits_with_the_longest_names(role: Role) -> None:
    platform = Platform(stage="a" * 12, account="123456789012", region="us-gov-west-1")
    keys = [platform.arn("kms", f"key/{number:036}") for number in (1, 2)]
    found = people.statements_of(role, platform, key_arn=keys[0], signing_key_arn=keys[1])
    assert 1000 < characters(policy([one.document() for one in found])) <= 6144
