"""The published version of a function that its callers reach, under the alias `LIVE`.

Another version takes the requests step by step: CodeDeploy moves a part of them, and brings them back if an alarm is
raised. A version never changes, so its logical id has a digest of the deployed code and settings. Other code or
settings are another version, and CloudFormation deletes the old one when all requests have moved.
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-attribute-updatepolicy.html
"""

from __future__ import annotations

import hashlib
import json

import aws_cdk as cdk
from aws_cdk import aws_codedeploy as codedeploy
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from millrace.infra.constructs.function import Function
from millrace.infra.context import Context
from millrace.names import LIVE

MOVER = "mover"
"""The role of CodeDeploy, one for the aliases of all workloads of a stage."""
ROLLBACKS = ("DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM", "DEPLOYMENT_STOP_ON_REQUEST")


class LiveAlias(Construct):
    """The alias of a `Function`, which keeps so many environments started. The alarm ends a move of its requests."""

    def __init__(self, scope: Construct, function: Function, *, context: Context, kept: int, alarm: str) -> None:
        super().__init__(scope, f"{function.name}-{LIVE}")
        version = lambda_.CfnVersion(self, f"Version{_deployed(function)}", function_name=function.resource.ref)
        group = codedeploy.CfnDeploymentGroup(
            self,
            "Moves",
            application_name=context.platform.prefix,
            deployment_group_name=function.name,
            deployment_config_name=context.settings.moves,
            deployment_style=codedeploy.CfnDeploymentGroup.DeploymentStyleProperty(
                deployment_type="BLUE_GREEN", deployment_option="WITH_TRAFFIC_CONTROL"
            ),
            service_role_arn=context.platform.role_arn(MOVER),
            alarm_configuration=codedeploy.CfnDeploymentGroup.AlarmConfigurationProperty(
                enabled=True, alarms=[codedeploy.CfnDeploymentGroup.AlarmProperty(name=alarm)]
            ),
            auto_rollback_configuration=codedeploy.CfnDeploymentGroup.AutoRollbackConfigurationProperty(
                enabled=True, events=list(ROLLBACKS)
            ),
        )
        started = lambda_.CfnAlias.ProvisionedConcurrencyConfigurationProperty(provisioned_concurrent_executions=kept)
        self.resource = lambda_.CfnAlias(
            self,
            "Alias",
            name=LIVE,
            function_name=function.resource.ref,
            function_version=version.attr_version,
            provisioned_concurrency_config=started if kept else None,
        )
        self.resource.cfn_options.update_policy = cdk.CfnUpdatePolicy(
            code_deploy_lambda_alias_update=cdk.CfnCodeDeployLambdaAliasUpdate(
                application_name=context.platform.prefix, deployment_group_name=function.name
            )
        )
        self.resource.add_resource_dependency(group)


def _deployed(function: Function) -> str:
    """A digest of the function's code, layers and settings."""
    made = function.resource
    # A change of one of these parts is another version. `resolve` gives deploy-time values the same text each time.
    parts = [made.code, made.layers, made.environment, made.runtime, made.architectures, made.handler, made.timeout,
             made.memory_size, made.ephemeral_storage, made.kms_key_arn, made.role]  # fmt: skip
    return hashlib.sha256(json.dumps(cdk.Stack.of(function).resolve(parts), sort_keys=True).encode()).hexdigest()[:16]
