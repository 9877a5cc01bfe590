"""A Lambda function: bundle, layer, role, log group, settings."""

from __future__ import annotations

from collections.abc import Sequence

import aws_cdk as cdk
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3_assets as assets
from constructs import Construct

from infra.bundles import bundle, layer
from infra.constructs.role import Role
from infra.constructs.statements import Statement, allow, use_key
from infra.context import REPOSITORY, Context
from millrace.settings.environment import Environment


class Function(Construct):
    """`functions/<name>` deployed as `<workload prefix>-<name>`; code and third-party packages apart."""

    def __init__(
        self,
        scope: Construct,
        name: str,
        *,
        context: Context,
        description: str,
        settings: Environment,
        statements: Sequence[Statement],
        timeout_s: int = 30,
        memory_mb: int = 512,
    ) -> None:
        super().__init__(scope, name)
        self.name = context.names.function(name)
        self.arn = context.names.function_arn(name)
        log_name = f"/aws/lambda/{self.name}"
        log = logs.CfnLogGroup(
            self,
            "Log",
            log_group_name=log_name,
            retention_in_days=context.settings.log_retention_days,
            kms_key_id=context.key_arn,
        )
        log_arn = f"arn:aws:logs:{context.platform.region}:{context.platform.account}:log-group:{log_name}:*"
        self.role = Role(
            self,
            name,
            context=context,
            service="lambda.amazonaws.com",
            statements=[
                allow("logs:CreateLogStream", "logs:PutLogEvents", on=log_arn),
                allow("xray:PutTraceSegments", "xray:PutTelemetryRecords", on="*"),
                use_key(context.key_arn),
                *statements,
            ],
        )
        code = _asset(
            self,
            "Code",
            *bundle(REPOSITORY, name, workload=context.workload.name, platform=context.settings.wheel_platform),
        )
        self.resource = lambda_.CfnFunction(
            self,
            "Resource",
            function_name=self.name,
            description=description,
            runtime=context.settings.runtime,
            architectures=[context.settings.architecture],
            handler=f"functions.{name}.handler.handler",
            code=lambda_.CfnFunction.CodeProperty(s3_bucket=code.s3_bucket_name, s3_key=code.s3_object_key),
            layers=[_layer(self, name, context)],
            role=self.role.resource.attr_arn,
            timeout=timeout_s,
            memory_size=memory_mb,
            environment=lambda_.CfnFunction.EnvironmentProperty(variables=settings.render()),
            kms_key_arn=context.key_arn,
            tracing_config=lambda_.CfnFunction.TracingConfigProperty(mode="Active"),
            logging_config=lambda_.CfnFunction.LoggingConfigProperty(log_format="JSON", log_group=log_name),
        )
        self.resource.add_resource_dependency(log)


def _asset(scope: Construct, name: str, folder: str, digest: str) -> assets.Asset:
    return assets.Asset(scope, name, path=folder, asset_hash=digest, asset_hash_type=cdk.AssetHashType.CUSTOM)


def _layer(scope: Construct, name: str, context: Context) -> str:
    """The reference of the stack's layer for the function's requirements; one layer per requirements and stack."""
    folder, digest = layer(
        REPOSITORY,
        REPOSITORY / "functions" / name / "requirements.txt",
        context.settings.wheel_platform,
        context.settings.python,
    )
    stack = cdk.Stack.of(scope)
    name = f"Layer{digest[:12]}"
    existing = stack.node.try_find_child(name)
    if isinstance(existing, lambda_.CfnLayerVersion):
        return existing.ref
    code = _asset(stack, f"{name}Code", folder, digest)
    return lambda_.CfnLayerVersion(
        stack,
        name,
        layer_name=f"{context.names.prefix}-{digest[:12]}",
        content=lambda_.CfnLayerVersion.ContentProperty(s3_bucket=code.s3_bucket_name, s3_key=code.s3_object_key),
        compatible_runtimes=[context.settings.runtime],
        compatible_architectures=[context.settings.architecture],
    ).ref
