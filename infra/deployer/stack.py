"""The stack `<stage>-deployer`: GitHub's identity provider, the pipelines' roles, and CloudFormation's policies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from constructs import Construct

from millrace.infra.constructs.acknowledgement import acknowledge
from millrace.infra.constructs.role import wildcards
from millrace.infra.constructs.tags import tag
from millrace.infra.deployer import execution, pipeline
from millrace.infra.iam.resource import Statement, policy
from millrace.infra.options import GitHub
from millrace.infra.rules.assembly import Stack
from millrace.infra.settings import StageSettings

ISSUER = "token.actions.githubusercontent.com"
SESSION_S = 2 * 3600
"""Seconds of a pipeline's credentials: a first deployment takes more than the usual hour, and they are not renewed."""
AUDIENCE = "sts.amazonaws.com"
"""The audience of a token that `aws-actions/configure-aws-credentials` fetches.
https://docs.github.com/en/actions/how-tos/secure-your-work/security-harden-deployments/oidc-in-aws"""


class DeployerStack(cdk.Stack):
    """The stack that says what the pipelines may do. An administrator deploys it before the bootstrap.

    A pipeline never deploys it. So it needs no bootstrap itself. The names of its roles and policies do not begin with
    the stage's name, since CloudFormation's rights are on resources with such names."""

    def __init__(
        self,
        scope: Construct,
        *,
        settings: StageSettings,
        github: GitHub,
        stacks: Sequence[Stack],
        bases: Sequence[str],
    ) -> None:
        names = settings.platform
        super().__init__(
            scope,
            f"{names.prefix}-deployer",
            env=cdk.Environment(account=names.account, region=names.region),
            synthesizer=cdk.BootstraplessSynthesizer(),
            description="Millrace deployer: who may deploy the stage from GitHub, and what CloudFormation may do then",
        )
        self._settings, self._github = settings, github
        provider = github.provider_arn or self._provider()
        for environment, word, statements in (
            (f"{names.stage}-read", "read", pipeline.reading(names, bases, key_arn=settings.options.key_arn)),
            (names.stage, "deploy", pipeline.deploying(names, bases)),
        ):
            role = self._role(provider, environment, word, statements)
            cdk.CfnOutput(self, f"{word}RoleArn", value=role.attr_arn, description=f"AWS_ROLE_ARN of {environment}")
        found = execution.policies(names, stacks, settings.options)
        arns = [self._policy(number, statements).ref for number, statements in enumerate(found, start=1)]
        cdk.CfnOutput(self, "ExecutionPolicies", value=",".join(arns), description="Of the bootstrap")
        tag(self, settings.tags_of("deployer"))

    def _provider(self) -> str:
        """The ARN of a new identity provider for GitHub. IAM finds its thumbprint itself.

        An account can have only one, for all of its stages, so it outlives the stack.
        https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-resource-iam-oidcprovider.html"""
        provider = iam.CfnOIDCProvider(self, "GitHub", url=f"https://{ISSUER}", client_id_list=[AUDIENCE])
        provider.apply_removal_policy(cdk.RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE)
        return provider.attr_arn

    def _role(self, provider: str, environment: str, word: str, statements: Sequence[Statement]) -> iam.CfnRole:
        name = f"github-{self._settings.platform.prefix}-{word}"
        role = iam.CfnRole(
            self,
            f"{word}-role",
            role_name=name,
            description=f"The pipelines of {self._github.repository} in its environment {environment}",
            max_session_duration=SESSION_S,
            permissions_boundary=self._settings.options.permissions_boundary,
            assume_role_policy_document=policy([self._trust(provider, environment)]),
            policies=[
                iam.CfnRole.PolicyProperty(
                    policy_name="statements", policy_document=policy([one.document() for one in statements])
                )
            ],
        )
        acknowledge(role, wildcards(statements))
        return role

    def _trust(self, provider: str, environment: str) -> dict[str, Any]:
        """The trust policy's statement for jobs in that environment of the repository.

        The environment's protection rules say from which branches such a job may run, and who must approve it."""
        subject = f"repo:{self._github.repository}:environment:{environment}"
        return {
            "Effect": "Allow",
            "Principal": {"Federated": provider},
            "Action": "sts:AssumeRoleWithWebIdentity",
            "Condition": {"StringEquals": {f"{ISSUER}:aud": AUDIENCE, f"{ISSUER}:sub": subject}},
        }

    def _policy(self, number: int, statements: Sequence[Statement]) -> iam.CfnManagedPolicy:
        made = iam.CfnManagedPolicy(
            self,
            f"execution-{number}",
            managed_policy_name=f"cloudformation-{self._settings.platform.prefix}-{number}",
            description="What CloudFormation may do for the stage; derived from its templates",
            policy_document=policy([one.document() for one in statements]),
        )
        acknowledge(made, wildcards(statements))
        return made
