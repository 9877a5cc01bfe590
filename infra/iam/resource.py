"""Statements of roles: a `Resource` names the ARNs, and its method `may` names the allowed actions.

state_table.own_items(names).may("GetItem", "PutItem")
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Statement:
    """An Allow statement of a role; `Resource.may` makes it."""

    actions: tuple[str, ...]
    resources: tuple[str, ...]
    conditions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)
    """For each resource with a wildcard, the reason why nothing narrower would do."""

    def document(self) -> dict[str, Any]:
        """The statement as a policy holds it."""
        conditions = {operator: dict(values) for operator, values in self.conditions.items()}
        return {
            "Effect": "Allow",
            "Action": list(self.actions),
            "Resource": list(self.resources),
            **({"Condition": conditions} if conditions else {}),
        }


@dataclass(frozen=True, kw_only=True)
class Resource:
    """The ARNs of one statement. `resource` and the modules beside this one make it."""

    service: str
    """IAM's prefix of its actions, for example `dynamodb`."""
    reasons: Mapping[str, str]
    """For each ARN, the reason why nothing narrower would do; empty if it has no wildcard."""
    where: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """The condition of every statement on these ARNs."""

    def may(self, *actions: str) -> Statement:
        """Allow the actions. An action of the resource's own service has no prefix: `GetItem`.

        Raises ValueError if an action has a wildcard."""
        if wild := [action for action in actions if "*" in action]:
            raise ValueError(f"statement: expected whole action names, got {wild}")
        whole = sorted(action if ":" in action else f"{self.service}:{action}" for action in actions)
        return Statement(
            actions=tuple(whole),
            resources=tuple(self.reasons),
            conditions=self.where,
            reasons={arn: reason for arn, reason in self.reasons.items() if reason},
        )

    def __add__(self, other: Resource) -> Resource:
        """Both resources, for one statement. Raises ValueError if their service or their condition differs."""
        if (self.service, self.where) != (other.service, other.where):
            raise ValueError(f"resources: expected {self.service} under {self.where}, got {other.service}")
        return Resource(service=self.service, reasons={**self.reasons, **other.reasons}, where=self.where)


def resource(
    service: str, *arns: str, where: Mapping[str, Mapping[str, Any]] | None = None, because: str = ""
) -> Resource:
    """The resources of `service` with these ARNs. Raises ValueError if an ARN has a wildcard and there is no reason."""
    # The reason belongs to the ARNs with a wildcard alone.
    reasons = {arn: because if "*" in arn else "" for arn in arns}
    if unexplained := [arn for arn, reason in reasons.items() if "*" in arn and not reason]:
        raise ValueError(f"{service}: expected a reason (because=…) for the wildcard in {unexplained}")
    return Resource(service=service, reasons=reasons, where=where or {})


def every(service: str, *, because: str, where: Mapping[str, Mapping[str, Any]] | None = None) -> Resource:
    """All resources (`*`), for actions that take no resource."""
    return resource(service, "*", because=because, where=where)


def merged(statements: Iterable[Statement]) -> list[Statement]:
    """Statements that allow the same, with each action on each resource under a condition once: actions on the same
    resources together. They have no reasons."""
    arns: dict[tuple[str, str], set[str]] = defaultdict(set)
    for one in statements:
        for action in one.actions:
            arns[action, json.dumps(one.conditions, sort_keys=True)].update(one.resources)
    actions: dict[tuple[str, tuple[str, ...], str], list[str]] = defaultdict(list)
    for (action, condition), where in arns.items():
        actions[action.partition(":")[0], tuple(sorted(where)), condition].append(action)
    return [
        Statement(actions=tuple(sorted(several)), resources=where, conditions=json.loads(condition))
        for (_, where, condition), several in actions.items()
    ]


def trusted(services: Sequence[str], account: str) -> dict[str, Any]:
    """The trust policy of a role that these AWS services may take, for resources of this account."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": services[0] if len(services) == 1 else list(services)},
                "Action": "sts:AssumeRole",
                "Condition": {"StringEquals": {"aws:SourceAccount": account}},
            }
        ],
    }


def let(
    service: str | list[str],
    action: str | list[str],
    resource: str = "*",
    *,
    where: Mapping[str, Mapping[str, Any]] | None = None,
    sid: str = "",
) -> dict[str, Any]:
    """The statement of a resource's own policy that lets services of AWS do this."""
    named, condition = {"Sid": sid} if sid else {}, {"Condition": where} if where else {}
    allowed = {"Effect": "Allow", "Principal": {"Service": service}, "Action": action, "Resource": resource}
    return {**named, **allowed, **condition}


def refuse_without_tls(action: str, resource: str | list[str]) -> dict[str, Any]:
    """The statement of a resource's own policy that refuses calls without TLS, whoever makes them."""
    refused = {"Effect": "Deny", "Principal": {"AWS": "*"}, "Action": action, "Resource": resource}
    return {**refused, "Condition": {"Bool": {"aws:SecureTransport": "false"}}}


def policy(statements: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A policy document of these statements."""
    return {"Version": "2012-10-17", "Statement": list(statements)}
