"""Merges the statements of those who share a role, so that its policy has each permission once."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from millrace.infra.iam.resource import Statement

ANY_OF = ("StringEquals", "StringLike")
"""The operators whose values may be merged, as any of them is enough. Of `StringNotEquals` none may be met, so a
condition with an operator of another kind stays as it is.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-logic-multiple-context-keys-or-values.html"""


@dataclass(frozen=True)
class _Permission:
    action: str
    arn: str
    condition: str
    """As JSON. A condition with several values is several permissions, as any of its values is enough."""


def merged(statements: Iterable[Statement]) -> list[Statement]:
    """Statements that allow the same, with each action on each resource once: actions on the same resources together.

    An action on a resource is left out if a wildcard covers it under the same condition."""
    reasons: dict[_Permission, list[str]] = {}
    for statement in statements:
        for permission, reason in _permissions(statement):
            reasons.setdefault(permission, []).extend([reason] if reason else [])
    conditions: dict[tuple[str, str], list[str]] = defaultdict(list)
    for one in _uncovered(reasons):
        conditions[one.action, one.arn].append(one.condition)
    arns: dict[tuple[str, str], list[str]] = defaultdict(list)
    for (action, arn), alternatives in conditions.items():
        for condition in _together(alternatives):
            arns[action, condition].append(arn)
    actions: dict[tuple[str, tuple[str, ...], str], list[str]] = defaultdict(list)
    for (action, condition), where in arns.items():
        actions[action.partition(":")[0], tuple(sorted(where)), condition].append(action)
    return [
        Statement(
            actions=tuple(sorted(several)),
            resources=where,
            conditions=json.loads(condition),
            reasons=_reasons(reasons, several, where),
        )
        for (_, where, condition), several in actions.items()
    ]


def _permissions(statement: Statement) -> Iterator[tuple[_Permission, str]]:
    """Every permission of the statement, with the reason for its wildcard."""
    for condition in _alternatives(statement.conditions):
        for action in statement.actions:
            for arn in statement.resources:
                yield _Permission(action, arn, condition), statement.reasons.get(arn, "")


def _uncovered(permissions: Iterable[_Permission]) -> Iterator[_Permission]:
    """Those that no other one with a wildcard covers."""
    every = list(permissions)
    wide = [one for one in every if "*" in one.arn]
    for one in every:
        others = (other for other in wide if (other.action, other.condition) == (one.action, one.condition))
        if not any(other != one and fnmatchcase(one.arn, other.arn) for other in others):
            yield one


def _reasons(
    reasons: Mapping[_Permission, Iterable[str]], actions: Iterable[str], arns: Iterable[str]
) -> dict[str, str]:
    """All reasons why these actions need the wildcard in each of the ARNs."""
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for one, several in reasons.items():
        if one.action in actions and one.arn in arns:
            found[one.arn] |= dict.fromkeys(several)
    return {arn: "; ".join(several) for arn, several in found.items() if several}


def _alternatives(conditions: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """A condition for each value that is enough; the whole one if it has several keys, or one value alone."""
    match [(operator, key, value) for operator, keys in conditions.items() for key, value in keys.items()]:
        case [(operator, key, [*values])] if operator in ANY_OF:
            yield from (json.dumps({operator: {key: [value]}}) for value in values)
        case _:
            yield json.dumps(conditions, sort_keys=True)


def _together(conditions: Iterable[str]) -> Iterator[str]:
    """What `_alternatives` took apart, with all values of an operator and key in one condition."""
    values: dict[tuple[str, str], list[str]] = defaultdict(list)
    for condition in conditions:
        match [
            (operator, key, value) for operator, keys in json.loads(condition).items() for key, value in keys.items()
        ]:
            case [(operator, key, [value])] if operator in ANY_OF:
                values[operator, key].append(value)
            case _:
                yield condition
    yield from (json.dumps({operator: {key: several}}) for (operator, key), several in values.items())
