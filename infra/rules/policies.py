"""Reads the Allow statements of the policies in templates, and the rule on those that pass a role."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from millrace.infra.rules.assembly import Finding, Resource, Stack, given, listed, resources, text

INLINE = ("AWS::IAM::Role", "AWS::IAM::User", "AWS::IAM::Group")
ATTACHED = ("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy")


def documents(resource: Resource) -> list[Mapping[str, Any]]:
    """The documents of the identity policies of a role, a user, a group or a policy."""
    if resource.kind in ATTACHED:
        return [resource.properties["PolicyDocument"]]
    return [policy["PolicyDocument"] for policy in resource.properties.get("Policies", [])]


def allowed(stacks: Sequence[Stack]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every Allow statement of the identity policies, each after the place of its resource."""
    for resource in resources(stacks, *INLINE, *ATTACHED):
        for document in documents(resource):
            yield from ((resource.where, one) for one in listed(document["Statement"]) if one["Effect"] == "Allow")


def check_pass_role(stacks: Sequence[Stack]) -> Iterator[Finding]:
    """A finding for each PassRole on roles with a wildcard, or without the service that may take them.

    Else a caller that may start a job could use any role."""
    for where, statement in allowed(stacks):
        if not any(action.lower() in {"iam:passrole", "iam:*", "*"} for action in listed(statement.get("Action", []))):
            continue
        services = listed(given(statement, "Condition", "StringEquals", "iam:PassedToService") or [])
        if not services or any("*" in service for service in services):
            yield Finding(where=where, expected="iam:PassedToService in Condition.StringEquals", came=services)
        if wide := [text(one) for one in listed(statement.get("Resource", "*")) if "*" in text(one)]:
            yield Finding(where=where, expected="whole ARNs of the roles that are passed", came=wide)
