"""Rule: iam:PassRole names the roles and the service. Else a caller that may start a job could use any role."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from infra.rules.assembly import Stack, given, listed, text
from infra.rules.finding import Finding
from infra.rules.statements import allowed


def check(stacks: Sequence[Stack]) -> Iterator[Finding]:
    """A finding for each PassRole on roles with a wildcard, or without the service that may take them."""
    for where, statement in allowed(stacks):
        if not any(action.lower() in {"iam:passrole", "iam:*", "*"} for action in listed(statement.get("Action", []))):
            continue
        services = listed(given(statement, "Condition", "StringEquals", "iam:PassedToService") or [])
        if not services or any("*" in service for service in services):
            yield Finding(where=where, expected="iam:PassedToService in Condition.StringEquals", came=services)
        if wide := [text(one) for one in listed(statement.get("Resource", "*")) if "*" in text(one)]:
            yield Finding(where=where, expected="whole ARNs of the roles that are passed", came=wide)
