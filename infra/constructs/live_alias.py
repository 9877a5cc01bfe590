"""A published version of a function, which is ready before its first request, under the alias `live`.

Lambda keeps snapshots and provisioned environments only of versions, and a version never changes. So the logical id of
the version has a digest of the deployed code and settings. Other code or settings are another version, and
CloudFormation deletes the old one afterwards.
https://docs.aws.amazon.com/lambda/latest/dg/snapstart.html"""

from __future__ import annotations

import hashlib
import json

import aws_cdk as cdk
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.constructs.function import Function
from infra.options import Starts

LIVE = "live"


class LiveAlias(Construct):
    """The alias of a `Function` with these `starts`. Callers that name only the function still meet cold starts."""

    def __init__(self, scope: Construct, function: Function, starts: Starts) -> None:
        super().__init__(scope, f"{function.name}-{LIVE}")
        version = lambda_.CfnVersion(self, f"Version{_deployed(function)}", function_name=function.resource.ref)
        kept = lambda_.CfnAlias.ProvisionedConcurrencyConfigurationProperty(
            provisioned_concurrent_executions=starts.provisioned
        )
        self.resource = lambda_.CfnAlias(
            self,
            "Alias",
            name=LIVE,
            function_name=function.resource.ref,
            function_version=version.attr_version,
            provisioned_concurrency_config=kept if starts.provisioned else None,
        )


def _deployed(function: Function) -> str:
    """A digest of the function's code, layers and settings."""
    made = function.resource
    # A change of one of these parts is another version. `resolve` gives deploy-time values the same text each time.
    parts = [made.code, made.layers, made.environment, made.runtime, made.architectures, made.handler, made.timeout,
             made.memory_size, made.ephemeral_storage, made.kms_key_arn, made.role, made.snap_start]  # fmt: skip
    text = json.dumps(cdk.Stack.of(function).resolve(parts), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
