"""Rules: sizes and counts stay within documented limits that CloudFormation accepts and the service then refuses.

cfn-lint knows the limits of CloudFormation itself, on a template and on what it has."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from millrace.infra.rules.assembly import Finding, Resource, Stack, given, text
from millrace.infra.rules.policies import documents


@dataclass(frozen=True, kw_only=True)
class Limit:
    """One limit of a type of resources."""

    kind: str
    what: str
    most: int
    measure: Callable[[Resource], int]


def plain(value: Any) -> Any:
    """The value with a text in place of each deploy-time value."""
    # A mapping whose first key is an intrinsic function is a deploy-time value; the function is its only key.
    if isinstance(value, Mapping):
        one = next(iter(value), "")
        return text(value) if one == "Ref" or one.startswith("Fn::") else {key: plain(v) for key, v in value.items()}
    return [plain(one) for one in value] if isinstance(value, list) else value


def characters(value: Any) -> int:
    """Characters of the value as JSON without blanks, as IAM and EventBridge count them."""
    return len(json.dumps(plain(value), separators=(",", ":"), ensure_ascii=False))


def _environment(resource: Resource) -> int:
    variables = given(resource.properties, "Environment", "Variables") or {}
    return sum(len(f"{key}{text(value)}".encode()) for key, value in variables.items())


LIMITS = (
    Limit(kind="AWS::Lambda::Function", what="bytes of environment", most=4096, measure=_environment),
    Limit(
        kind="AWS::IAM::Role",
        what="characters of inline policies",
        most=10_240,
        measure=lambda r: sum(characters(one) for one in documents(r)),
    ),
    Limit(
        kind="AWS::IAM::ManagedPolicy",
        what="characters",
        most=6144,
        measure=lambda r: characters(r.properties["PolicyDocument"]),
    ),
    Limit(
        kind="AWS::S3::Bucket",
        what="lifecycle rules",
        most=1000,
        measure=lambda r: len(given(r.properties, "LifecycleConfiguration", "Rules") or ()),
    ),
)
"""The limits, each from the quotas page of its service."""


def check(stacks: Sequence[Stack]) -> Iterator[Finding]:
    """A finding for each measure above its limit."""
    for stack in stacks:
        for limit in LIMITS:
            for resource in stack.resources(limit.kind):
                if (measured := limit.measure(resource)) > limit.most:
                    yield Finding(where=resource.where, expected=f"{limit.most} {limit.what} at most", came=measured)
