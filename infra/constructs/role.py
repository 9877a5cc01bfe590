"""A named role with inline statements, which several functions, machines, rules and schedules of a stack may share."""

from __future__ import annotations

import re
from collections.abc import Sequence

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from constructs import Construct

from millrace.infra.constructs.acknowledgement import acknowledge
from millrace.infra.context import Owner
from millrace.infra.iam.resource import Statement, merged, policy, trusted


def machines_role(room: str) -> str:
    """The owner of the role that the machines, rules and schedules of a room share."""
    return f"{room}-machines"


class Role(Construct):
    """The role `<prefix>-<owner>` of everything in a stack that asks for it by this name. An account has 1,000 roles.

    - The machines, rules and schedules of a room share `<room>-machines`: they do what their templates say, and nothing
      that comes in changes it. `intake` and `teardown`, which start and stop machines, have it as well.
    - The light functions of a room share `<room>`: they handle pointers, reports and metrics.
    - Functions keep roles of their own that answer calls (`prediction`), write what they said (`decisions`), parse
      bytes from outside (`ingestion`), change rows of tables (`validation`), delete files of tables (`upkeep`, also
      for `withdrawal`) or what is kept of a person (`erasure`), hand out rows (`snapshot`, `delivery`), sign
      (`registration`) or read what another account shares (`pull`).
    - All jobs of a workload share `job`, since a container has no network and no credentials. Endpoints have `model`.

    A role's policy is complete when `write_roles` was called for the stack."""

    def __init__(self, scope: Construct, owner: str, *, context: Owner) -> None:
        super().__init__(scope, f"{owner}-role")
        self.name = context.names.role(owner)
        self.arn = context.names.role_arn(owner)
        self._account = context.platform.account
        self._services: dict[str, None] = {}
        self._statements: list[Statement] = []
        self.resource = iam.CfnRole(
            self,
            "Resource",
            role_name=self.name,
            permissions_boundary=context.settings.options.permissions_boundary,
            assume_role_policy_document={},
        )

    def write(self) -> None:
        """Write everybody's statements into the policy, each permission once, and acknowledge its wildcards."""
        services = sorted(self._services)
        self.resource.assume_role_policy_document = trusted(services, self._account)
        self.resource.policies = [_statements(merged(self._statements))]
        acknowledge(self.resource, wildcards(self._statements, services))

    def add(self, service: str, statements: Sequence[Statement]) -> None:
        """Let the service take the role, and allow what the statements say."""
        self._services[service] = None
        self._statements += statements


def role_of(scope: Construct, owner: str, *, context: Owner, service: str, statements: Sequence[Statement]) -> Role:
    """The role of this owner in the stack, with these statements beside those of everybody else who has it."""
    stack = cdk.Stack.of(scope)
    existing = stack.node.try_find_child(f"{owner}-role")
    role = existing if isinstance(existing, Role) else Role(stack, owner, context=context)
    role.add(service, statements)
    return role


def write_roles(stack: cdk.Stack) -> None:
    """Write the policies of the stack's roles, once everything that shares them is there."""
    for role in stack.node.children:
        if isinstance(role, Role):
            role.write()


def role_resource(
    scope: Construct,
    logical_id: str,
    *,
    context: Owner,
    service: str,
    statements: Sequence[Statement],
) -> iam.CfnRole:
    """The resource of a role of one owner. CloudFormation chooses its name."""
    resource = iam.CfnRole(
        scope,
        logical_id,
        permissions_boundary=context.settings.options.permissions_boundary,
        assume_role_policy_document=trusted([service], context.platform.account),
        policies=[_statements(statements)],
    )
    acknowledge(resource, wildcards(statements, [service]))
    return resource


def _statements(statements: Sequence[Statement]) -> iam.CfnRole.PolicyProperty:
    document = policy([one.document() for one in statements])
    return iam.CfnRole.PolicyProperty(policy_name="statements", policy_document=document)


def wildcards(statements: Sequence[Statement], services: Sequence[str] = ()) -> dict[str, str]:
    """The findings on resources with a wildcard, each with the reasons of all statements that name the resource.

    `services` are the principals that take the role: for Lambda, the packs have one more finding on `*`."""
    reasons: dict[str, dict[str, None]] = {}
    for statement in statements:
        for resource, reason in statement.reasons.items():
            reasons.setdefault(resource, {})[reason] = None
    # The pack writes the variables of a policy, `${aws:PrincipalTag/…}`, in angle brackets.
    named = {re.sub(r"\$\{([^}]+)\}", r"<\1>", resource): "; ".join(whys) for resource, whys in reasons.items()}
    found = {f"AwsSolutions-IAM5[Resource::{resource}]": why for resource, why in named.items()}
    if "lambda.amazonaws.com" in services and "*" in reasons:
        found["Serverless-LambdaStarPermissions"] = "On every resource: " + "; ".join(reasons["*"])
    return found
