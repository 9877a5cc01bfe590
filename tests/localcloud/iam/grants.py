"""The single permissions that a policy is made of, and whether a recorded request needed one of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from localcloud.iam.decision import Case, why_not


@dataclass(frozen=True, kw_only=True)
class Grant:
    """One action on one resource, as one statement of a policy allows it."""

    statement: int
    """Its place in the policy."""
    action: str
    resource: str


def grants(policy: Mapping[str, Any]) -> Iterator[Grant]:
    """Every action of every Allow statement on every resource that it lists."""
    for place, statement in enumerate(policy["Statement"]):
        if statement["Effect"] == "Allow":
            for action in _listed(statement["Action"]):
                for resource in _listed(statement["Resource"]):
                    yield Grant(statement=place, action=action, resource=resource)


def without(policy: Mapping[str, Any], grant: Grant) -> dict[str, Any]:
    """The policy that allows the same but for this."""
    return {**policy, "Statement": [*_without(policy["Statement"], grant)]}


def without_statement(policy: Mapping[str, Any], place: int) -> dict[str, Any]:
    """The policy less one statement."""
    left = [statement for at, statement in enumerate(policy["Statement"]) if at != place]
    return {**policy, "Statement": left}


def refusal(case: Case, policy: Mapping[str, Any]) -> str | None:
    """Why the request would have been refused had the role had this policy alone; None if it would not."""
    return why_not(replace(case, of_role=(json.dumps(policy),)))


def needed(grant: Grant, policy: Mapping[str, Any], cases: Iterable[Case]) -> Case | None:
    """A request that the policy allows and that is refused without the grant; None where no request needs it."""
    less = without(policy, grant)
    for case in cases:
        if case.request.action.lower() == grant.action.lower() and refusal(case, less) and not refusal(case, policy):
            return case
    return None


def _without(statements: Iterable[Mapping[str, Any]], grant: Grant) -> Iterator[Mapping[str, Any]]:
    for place, statement in enumerate(statements):
        if place != grant.statement:
            yield statement
            continue
        actions, resources = _listed(statement["Action"]), _listed(statement["Resource"])
        others = [action for action in actions if action != grant.action]
        if others:
            yield {**statement, "Action": others}
        elsewhere = [resource for resource in resources if resource != grant.resource]
        if elsewhere:
            yield {**statement, "Action": [grant.action], "Resource": elsewhere}


def _listed(value: Any) -> list[str]:
    return list(value) if isinstance(value, list | tuple) else [value]
