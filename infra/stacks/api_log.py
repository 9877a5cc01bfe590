"""The role by which API Gateway writes the logs of REST APIs. An account and region has one for all its APIs."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_apigateway as apigateway
from constructs import Construct

from millrace.infra.constructs.role import role_resource
from millrace.infra.context import PlatformContext
from millrace.infra.iam import log_groups


def api_log(scope: Construct, context: PlatformContext, *, kept: cdk.RemovalPolicy) -> None:
    """Make the role and name it in the account's settings.

    With two stages in one account the last one deployed names its role, and the logs of both go by it. The role
    outlives the stack, so that the other stage's logs do."""
    role = role_resource(
        scope,
        "ApiLog",
        context=context,
        service="apigateway.amazonaws.com",
        statements=log_groups.write_of_apis(context.platform),
    )
    account = apigateway.CfnAccount(scope, "ApiAccount", cloud_watch_role_arn=role.attr_arn)
    for resource in (role, account):
        resource.apply_removal_policy(kept)
