"""A Lambda function with its bundle, layer, role, log group and settings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import import_module

import aws_cdk as cdk
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3_assets as assets
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from millrace.infra.bundles import bundle, layer
from millrace.infra.constructs.acknowledgement import acknowledge
from millrace.infra.constructs.log_group import log_group
from millrace.infra.constructs.role import role_of
from millrace.infra.context import Owner
from millrace.infra.iam import key, log_groups, queues
from millrace.infra.iam.resource import Statement
from millrace.infra.settings import StageSettings
from millrace.settings.drop import COPIES, DropEnvironment
from millrace.settings.environment import PlatformEnvironment
from millrace.workload.load import SUITE

ACCEPTED = {
    "AwsSolutions-L1": "The images run the same modules on Python 3.13; one version everywhere, supported until 2029",
    "Serverless-LambdaLatestVersion": "Python 3.13 is what the images run the same modules on, supported until 2029",
    "CKV_AWS_115": "Reserved concurrency throttles events away; queues and the slots in the state table bound it",
    "CKV_AWS_117": "It calls AWS's APIs alone; in the VPC each of them would need an endpoint that costs by the hour",
}
"""Findings of the packs in every function, and why they are accepted."""
SYNCHRONOUS = {
    "Serverless-LambdaDLQ": "Nobody calls it asynchronously, so Lambda never holds an event of it; its caller fails",
    "CKV_AWS_116": "Its caller (a machine, a queue, a client) waits for the answer and handles the failure itself",
}
"""Findings in a function without a dead-letter queue. The rule `asynchronous-function` checks that the reasons hold."""


LEAST_DISK_MB = 512
"""The disk that Lambda gives to every function, and the least that can be declared."""


class Function(Construct):
    """The function `functions/<folder>`, deployed as `<prefix>-<name>` of its owner. Its packages are in a layer of
    the stage.

    - `folder`: the folder below `functions/` if it has another name, as a folder that is deployed several times.
    - `role`: the owner of the role that it shares (see `Role`). Without it the function has a role of its own.
    - `keeps_events`: an event that fails three times goes to the dead letters of the stage's events. Functions that are
      called asynchronously need this, and only they.
    - `beside`: other files of requirements below `functions/`, whose packages are in layers of their own.
    - `feeds_itself`: it puts messages back into its own queue. Lambda stops other functions that do so.
    - `reserved`: so many calls run at once at most, and Lambda keeps as many for it."""

    def __init__(
        self,
        scope: Construct,
        name: str,
        *,
        context: Owner,
        settings: PlatformEnvironment,
        statements: Sequence[Statement],
        folder: str = "",
        role: str | None = None,
        keeps_events: bool = False,
        timeout_s: int = 30,
        memory_mb: int = 512,
        requirements: str = "requirements.txt",
        beside: Sequence[str] = (),
        feeds_itself: bool = False,
        reserved: int | None = None,
    ) -> None:
        super().__init__(scope, name)
        folder = folder or name
        self.name = context.names.function(name)
        self.arn = context.names.function_arn(name)
        log_name = f"/aws/lambda/{self.name}"
        log = log_group(self, "Log", name=log_name, owner=context)
        # The statements decide whether the key is also needed to write (`key.use`).
        own = [*([queues.send(context.dead_events_arn)] if keeps_events else []), *statements]
        self.role = role_of(
            self,
            role or name,
            context=context,
            service="lambda.amazonaws.com",
            statements=[
                log_groups.write(context.platform, log_name),
                log_groups.trace(),
                key.use(context.key_arn, statements),
                *own,
            ],
        )
        code = _asset(
            self,
            "Code",
            *bundle(
                SUITE,
                folder,
                workload=context.folder,
                platform=context.settings.wheel_platform,
                compiler=context.settings.compiler,
            ),
        )
        files = (f"{folder}/{requirements}", *beside)
        packages = [context.platform.parameter(_layer(one, context.settings)[0]) for one in files]
        self.resource = lambda_.CfnFunction(
            self,
            "Resource",
            function_name=self.name,
            description=import_module(f"millrace.functions.{folder}").__doc__,
            runtime=context.settings.runtime,
            architectures=[context.settings.architecture],
            handler=f"millrace.functions.{folder}.handler.handler",
            code=lambda_.CfnFunction.CodeProperty(s3_bucket=code.s3_bucket_name, s3_key=code.s3_object_key),
            layers=[ssm.StringParameter.value_for_string_parameter(cdk.Stack.of(self), one) for one in packages],
            role=self.role.resource.attr_arn,
            timeout=timeout_s,
            memory_size=memory_mb,
            ephemeral_storage=_disk(settings),
            environment=lambda_.CfnFunction.EnvironmentProperty(variables=settings.render()),
            # https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html
            reserved_concurrent_executions=reserved,
            recursive_loop="Allow" if feeds_itself else None,
            kms_key_arn=context.key_arn,
            tracing_config=lambda_.CfnFunction.TracingConfigProperty(mode="Active"),
            logging_config=lambda_.CfnFunction.LoggingConfigProperty(log_format="JSON", log_group=log_name),
            dead_letter_config=lambda_.CfnFunction.DeadLetterConfigProperty(target_arn=context.dead_events_arn)
            if keeps_events
            else None,
        )
        acknowledge(self.resource, ACCEPTED if keeps_events else ACCEPTED | SYNCHRONOUS)
        # Else Lambda might make the log group itself, at a first call: without a key and for ever.
        self.resource.add_resource_dependency(log)


def _disk(settings: PlatformEnvironment) -> lambda_.CfnFunction.EphemeralStorageProperty | None:
    """Room for the largest drop, if the function holds drops; else None, which is Lambda's 512 MB."""
    if not isinstance(settings, DropEnvironment):
        return None
    return lambda_.CfnFunction.EphemeralStorageProperty(size=max(COPIES * settings.drop_mb, LEAST_DISK_MB))


def _asset(scope: Construct, name: str, folder: str, digest: str) -> assets.Asset:
    """The folder as an asset with this digest, so that the CDK need not read the whole folder for one."""
    return assets.Asset(scope, name, path=folder, asset_hash=digest, asset_hash_type=cdk.AssetHashType.CUSTOM)


def make_layers(stack: cdk.Stack, settings: StageSettings, *, hosts: bool) -> Iterator[tuple[str, str]]:
    """Make the layers of the stage's functions in the platform's stack; the name of each one's parameter, and its ARN.

    They outlive the stack: a stack of a workload that is rolled back names the layers of before."""
    variants = {
        "prediction/requirements-api.txt": settings.options.api is not None,
        "prediction/requirements-host.txt": hosts,
        "tracking/requirements.txt": settings.tracking == "file",
        "tracking/requirements-managed.txt": settings.tracking in ("app", "server"),
    }
    files = [f"{file.parent.name}/{file.name}" for file in SUITE.glob("millrace/functions/*/requirements*.txt")]
    for name, (folder, digest) in sorted({_layer(one, settings) for one in files if variants.get(one, True)}):
        code = _asset(stack, f"{name}Code", folder, digest)
        made = lambda_.CfnLayerVersion(
            stack,
            name,
            layer_name=f"{settings.platform.prefix}-{digest[:12]}",
            content=lambda_.CfnLayerVersion.ContentProperty(s3_bucket=code.s3_bucket_name, s3_key=code.s3_object_key),
            compatible_runtimes=[settings.runtime],
            compatible_architectures=[settings.architecture],
        )
        made.apply_removal_policy(cdk.RemovalPolicy.RETAIN)
        yield name, made.ref


def _layer(requirements: str, settings: StageSettings) -> tuple[str, tuple[str, str]]:
    """The name, the folder and the digest of the layer for a file of requirements below `functions/`."""
    file = SUITE / "millrace" / "functions" / requirements
    made = layer(SUITE, file, settings.wheel_platform, settings.python, settings.compiler)
    return f"layer-{made[1][:12]}", made
