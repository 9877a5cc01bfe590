"""A published version of a function that is ready before its first request, under the alias `live`.

Lambda keeps snapshots and provisioned environments of versions only, and a version never changes: what is deployed is
part of its logical id, so another code or setting is another version, and CloudFormation deletes the old one after.
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
    """The alias of a `Function` with these `starts`; callers who name the function alone meet cold starts as before."""

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
    parts = [made.code, made.layers, made.environment, made.runtime, made.architectures, made.handler, made.timeout,
             made.memory_size, made.ephemeral_storage, made.kms_key_arn, made.role, made.snap_start]  # fmt: skip
    text = json.dumps(cdk.Stack.of(function).resolve(parts), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
