"""`make adopt`: a stage that was torn down is deployed again with the buckets, tables and keys that it left behind.

Their names are taken, so CloudFormation imports them first, by a template that has nothing else; the deployment then
adds the rest. `cdk deploy --import-existing-resources` would do for buckets and tables but not for keys, whose ids AWS
gives: with a new key nothing of what is there could be read. `cdk import` keeps what a resource depends on, and that is
gone.
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/import-resources-automatically.html
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/resource-import-new-stack.html"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.rules.assembly import Resource, Stack, read
from millrace.errors import ConfigurationError
from millrace.names import Platform

IDENTIFIED_BY: Mapping[str, str] = {
    "AWS::DynamoDB::Table": "TableName",
    "AWS::KMS::Alias": "AliasName",
    "AWS::KMS::Key": "KeyId",
    "AWS::S3::Bucket": "BucketName",
}
"""The property by which CloudFormation finds a resource of the type that it imports."""
KEPT = "RetainExceptOnCreate"
CHANGE_SET = "adopt"


@dataclass(frozen=True, kw_only=True)
class ResourceImport:
    """What a change set of the type IMPORT is made of."""

    stack: str
    template: Mapping[str, Any]
    resources: tuple[Mapping[str, Any], ...]


def retained_resources(client: Callable[[str], Any], platform: Platform, stack: Stack) -> ResourceImport:
    """What of the platform's stack is left in the account; `client` makes boto3's clients.

    Raises ConfigurationError where a key is not found: without it the rest could not be read."""
    kept = [
        one for one in stack.resources() if stack.template["Resources"][one.logical_id].get("DeletionPolicy") == KEPT
    ]
    bare = {one.logical_id: dict(stack.template["Resources"][one.logical_id]) for one in kept}
    for one in bare.values():
        one.pop("DependsOn", None)
    return ResourceImport(
        stack=stack.name,
        template={"Resources": bare},
        resources=tuple(
            {
                "ResourceType": one.kind,
                "LogicalResourceId": one.logical_id,
                "ResourceIdentifier": {IDENTIFIED_BY[one.kind]: _identifier(client, platform, one)},
            }
            for one in kept
        ),
    )


def _identifier(client: Callable[[str], Any], platform: Platform, resource: Resource) -> str:
    if resource.kind != "AWS::KMS::Key":
        return str(resource.properties[IDENTIFIED_BY[resource.kind]])
    find = _signing_key if resource.properties.get("KeyUsage") == "SIGN_VERIFY" else _customer_key
    return find(client, platform)


def _signing_key(client: Callable[[str], Any], platform: Platform) -> str:
    """Its alias outlives the stack."""
    kms = client("kms")
    try:
        return str(kms.describe_key(KeyId=platform.signing_key_alias)["KeyMetadata"]["KeyId"])
    except kms.exceptions.NotFoundException as error:
        raise _missing(platform, platform.signing_key_alias) from error


def _customer_key(client: Callable[[str], Any], platform: Platform) -> str:
    """Its alias went with the stack; the lake is encrypted under it."""
    s3, bucket = client("s3"), platform.bucket("lake")
    try:
        found = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"][0]
    except s3.exceptions.ClientError as error:
        raise _missing(platform, f"the key of {bucket}") from error
    arn: str = found["ApplyServerSideEncryptionByDefault"]["KMSMasterKeyID"]
    return arn.rpartition("/")[2]


def _missing(platform: Platform, what: str) -> ConfigurationError:
    expected = f"{what}, which a stage that was torn down leaves behind"
    return ConfigurationError(where=platform.prefix, field="retained", expected=expected, came="none")


def adopt(cloudformation: Any, found: ResourceImport) -> None:
    """Import what was found into a stack of its own name, and wait for it."""
    cloudformation.create_change_set(
        StackName=found.stack,
        ChangeSetName=CHANGE_SET,
        ChangeSetType="IMPORT",
        TemplateBody=json.dumps(found.template),
        ResourcesToImport=list(found.resources),
    )
    named = {"StackName": found.stack, "ChangeSetName": CHANGE_SET}
    cloudformation.get_waiter("change_set_create_complete").wait(**named)
    cloudformation.execute_change_set(**named)
    cloudformation.get_waiter("stack_import_complete").wait(StackName=found.stack)


def main() -> None:
    """Show what a stage that was torn down has left, by its templates (`make synth`); with `--yes` import it."""
    import boto3

    parser = argparse.ArgumentParser(prog="python -m infra.resource_import", description=__doc__)
    parser.add_argument("--stage", required=True)
    parser.add_argument("--assembly", type=Path, required=True)
    parser.add_argument("--yes", action="store_true")
    given = parser.parse_args()
    account, region = boto3.client("sts").get_caller_identity()["Account"], boto3.session.Session().region_name
    platform = Platform(stage=given.stage, account=account, region=region)
    (stack,) = (one for one in read(given.assembly) if one.name == f"{platform.prefix}-platform")
    found = retained_resources(boto3.client, platform, stack)
    for one in found.resources:
        print(f"{one['LogicalResourceId']} {next(iter(one['ResourceIdentifier'].values()))}")
    if given.yes:
        adopt(boto3.client("cloudformation"), found)


if __name__ == "__main__":
    main()
