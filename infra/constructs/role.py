"""A named role with inline statements."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import aws_iam as iam
from constructs import Construct

from infra.constructs.acknowledgement import acknowledge
from infra.context import Owner
from infra.iam.resource import Statement, policy, trusted


class Role(Construct):
    """The role of one function, machine, job, rule or schedule, taken by one AWS service."""

    def __init__(
        self, scope: Construct, owner: str, *, context: Owner, service: str, statements: Sequence[Statement]
    ) -> None:
        super().__init__(scope, f"{owner}-role")
        self.name = context.names.role(owner)
        self.arn = context.names.role_arn(owner)
        self.resource = role_resource(
            self, "Resource", context=context, service=service, statements=statements, name=self.name
        )


def role_resource(
    scope: Construct,
    logical_id: str,
    *,
    context: Owner,
    service: str,
    statements: Sequence[Statement],
    name: str | None = None,
) -> iam.CfnRole:
    """The resource of a role. Without a `name` CloudFormation chooses one."""
    resource = iam.CfnRole(
        scope,
        logical_id,
        role_name=name,
        permissions_boundary=context.settings.options.permissions_boundary,
        assume_role_policy_document=trusted(service, context.platform.account),
        policies=[
            iam.CfnRole.PolicyProperty(
                policy_name="statements", policy_document=policy([one.document() for one in statements])
            )
        ],
    )
    acknowledge(resource, wildcards(statements, service))
    return resource


def wildcards(statements: Sequence[Statement], service: str = "") -> dict[str, str]:
    """The findings on resources with a wildcard, each with the reasons of all statements that name the resource.

    `service` is the principal that takes the role: for Lambda, the packs have one more finding on `*`."""
    reasons: dict[str, dict[str, None]] = {}
    for statement in statements:
        for resource, reason in statement.reasons.items():
            reasons.setdefault(resource, {})[reason] = None
    found = {f"AwsSolutions-IAM5[Resource::{resource}]": "; ".join(whys) for resource, whys in reasons.items()}
    if service == "lambda.amazonaws.com" and "*" in reasons:
        found["Serverless-LambdaStarPermissions"] = "On every resource: " + "; ".join(reasons["*"])
    return found
