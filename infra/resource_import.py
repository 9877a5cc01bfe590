"""`make adopt`: imports the buckets, tables and keys that a stage left behind when it was torn down.

Then the stage can be deployed again. The names of these resources are taken, so CloudFormation imports them first, by a
template that has nothing else. The deployment adds the rest. Two other ways do not work:

- `cdk deploy --import-existing-resources` imports buckets and tables, but no keys, since AWS chooses the id of a key.
  With a new key the old data could not be read.
- `cdk import` keeps the dependencies of a resource, and the resources that it depends on are gone.

https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/import-resources-automatically.html
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/resource-import-new-stack.html"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from millrace.errors import ConfigurationError
from millrace.infra.rules.assembly import Resource, Stack, read
from millrace.names import Platform

IDENTIFIED_BY: Mapping[str, str] = {
    "AWS::DynamoDB::Table": "TableName",
    "AWS::KMS::Alias": "AliasName",
    "AWS::KMS::Key": "KeyId",
    "AWS::S3::Bucket": "BucketName",
}
"""The property by which CloudFormation finds a resource that it imports, by its type."""
KEPT = "RetainExceptOnCreate"
CHANGE_SET = "adopt"


@dataclass(frozen=True, kw_only=True)
class ResourceImport:
    """The content of a change set of the type IMPORT."""

    stack: str
    template: Mapping[str, Any]
    resources: tuple[Mapping[str, Any], ...]


def retained_resources(client: Callable[[str], Any], platform: Platform, stack: Stack) -> ResourceImport:
    """The retained resources of the platform's stack, with their identifiers in the account.

    `client` makes boto3's clients. Raises ConfigurationError if a key is not found: without it the data could not be
    read."""
    kept = [
        one for one in stack.resources() if stack.template["Resources"][one.logical_id].get("DeletionPolicy") == KEPT
    ]
    # Without `DependsOn`: the resources that the retained ones depend on were deleted with the stack.
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
    """The id of the signing key, by its alias, which outlives the stack."""
    kms = client("kms")
    try:
        return str(kms.describe_key(KeyId=platform.signing_key_alias)["KeyMetadata"]["KeyId"])
    except kms.exceptions.NotFoundException as error:
        raise _missing(platform, platform.signing_key_alias) from error


def _customer_key(client: Callable[[str], Any], platform: Platform) -> str:
    """The id of the customer key, by the encryption of the lake. The key's alias was deleted with the stack."""
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
    """Import the resources into a new stack of the same name, and wait until it is made."""
    cloudformation.create_change_set(
        StackName=found.stack,
        ChangeSetName=CHANGE_SET,
        ChangeSetType="IMPORT",
        TemplateBody=json.dumps(found.template),
        ResourcesToImport=list(found.resources),
    )
    # A change set is made in the background, and executed in the background, so both are waited for.
    named = {"StackName": found.stack, "ChangeSetName": CHANGE_SET}
    cloudformation.get_waiter("change_set_create_complete").wait(**named)
    cloudformation.execute_change_set(**named)
    cloudformation.get_waiter("stack_import_complete").wait(StackName=found.stack)


def main() -> None:
    """Show what a stage that was torn down has left, by its templates (`make synth`); with `--yes` import it."""
    import boto3

    parser = argparse.ArgumentParser(prog="python -m millrace.infra.resource_import", description=__doc__)
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
