"""Merged statements allow the same requests as before, and say each permission once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from itertools import product
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from millrace.infra.iam.merging import merged
from millrace.infra.iam.resource import Statement, resource

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
    arns = tuple(arns)
    reasons = {arn: f"why {arn}" for arn in arns if "*" in arn}
    return Statement(actions=tuple(actions), resources=arns, conditions=condition, reasons=reasons)


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


@given(statements)
def test_a_wildcard_keeps_its_reasons(several: list[Statement]) -> None:
    for one in merged(several):
        assert one.reasons == {arn: f"why {arn}" for arn in one.resources if "*" in arn}


def test_what_a_wildcard_covers_is_left_out_under_the_same_condition_alone() -> None:
    wide, own = resource("s3", "lake/*", because="Named at run time"), {"StringEquals": {"k": "x"}}
    assert merged([wide.may("GetObject"), resource("s3", "lake/a").may("GetObject")]) == [wide.may("GetObject")]
    assert len(merged([wide.may("GetObject"), resource("s3", "lake/a", where=own).may("GetObject")])) == 2
    assert len(merged([wide.may("GetObject"), resource("s3", "lake/a").may("PutObject")])) == 2


def test_values_of_which_none_may_be_met_stay_apart() -> None:
    """Either condition is enough; one with both values would allow less."""
    gets = [resource("s3", "a", where={"StringNotEquals": {"k": [value]}}).may("GetObject") for value in ("x", "y")]
    assert merged(gets) == gets
