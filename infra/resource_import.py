"""`make adopt`: imports the buckets, tables and keys that a stage left behind when it was torn down, or was deleted.

A table that was deleted too comes back first, as it was then: DynamoDB keeps it for 35 days. Later the audit comes back
from its chain, and the state table is empty. Then the stage can be deployed again. The names of these resources are
taken, so CloudFormation imports them first, by a template that has nothing else. The deployment adds the rest. Two
other ways do not work:

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

from botocore.exceptions import ClientError

from millrace.errors import ConfigurationError
from millrace.infra.rules.assembly import Resource, Stack, read
from millrace.names import Platform
from millrace.state.audit_chain import AuditChain, ChangeKind, Link, chained_workloads

IDENTIFIED_BY: Mapping[str, str] = {
    "AWS::DynamoDB::Table": "TableName",
    "AWS::IAM::Role": "RoleName",
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
    signs = resource.properties.get("KeyUsage") == "SIGN_VERIFY"
    try:
        if not signs:
            return _customer_key(client, platform)
        # The alias outlives the stack.
        return str(client("kms").describe_key(KeyId=platform.signing_key_alias)["KeyMetadata"]["KeyId"])
    except ClientError as error:
        what = platform.signing_key_alias if signs else f"the key of {platform.bucket('lake')}"
        expected = f"{what}, which a stage that was torn down leaves behind"
        raise ConfigurationError(where=platform.prefix, field="retained", expected=expected, came=str(error)) from error


def _customer_key(client: Callable[[str], Any], platform: Platform) -> str:
    """The id of the customer key, by the encryption of the lake. The key's alias was deleted with the stack."""
    found = client("s3").get_bucket_encryption(Bucket=platform.bucket("lake"))
    (rule,) = found["ServerSideEncryptionConfiguration"]["Rules"]
    return str(rule["ApplyServerSideEncryptionByDefault"]["KMSMasterKeyID"]).rpartition("/")[2]


def deleted_tables(dynamodb: Any, found: ResourceImport) -> dict[str, Mapping[str, Any] | None]:
    """The backup that DynamoDB made of each table that is gone when it was deleted, by the table's logical id.

    None for a table without one: its deletion is 35 days ago, or it had no recovery."""
    names = {
        one["LogicalResourceId"]: one["ResourceIdentifier"]["TableName"]
        for one in found.resources
        if one["ResourceType"] == "AWS::DynamoDB::Table"
    }
    standing = {name for page in dynamodb.get_paginator("list_tables").paginate() for name in page["TableNames"]}
    backups: dict[str, Mapping[str, Any] | None] = {}
    for logical_id, name in names.items():
        if name not in standing:
            pages = dynamodb.get_paginator("list_backups").paginate(TableName=name, BackupType="SYSTEM")
            kept = [one for page in pages for one in page["BackupSummaries"] if one["BackupStatus"] == "AVAILABLE"]
            backups[logical_id] = max(kept, key=lambda one: one["BackupCreationDateTime"], default=None)
    return backups


def restore_table(
    client: Callable[[str], Any], platform: Platform, found: ResourceImport, logical_id: str, *, backup: str | None
) -> None:
    """Make the table again, with the settings of its template that no backup has; waits for AWS.

    `backup` is the ARN of its backup. Without one the table is empty, but for the audit's, whose chain has all records.

    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_RestoreTableFromBackup.html"""
    dynamodb, wanted = client("dynamodb"), found.template["Resources"][logical_id]["Properties"]
    table = {"TableName": wanted["TableName"]}
    if backup:
        dynamodb.restore_table_from_backup(TargetTableName=wanted["TableName"], BackupArn=backup)
    else:
        given = ("AttributeDefinitions", "KeySchema", "BillingMode")
        key = platform.arn("kms", f"key/{_customer_key(client, platform)}")
        encryption = {"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": key}
        dynamodb.create_table(**table, **{name: wanted[name] for name in given}, SSESpecification=encryption)
    # AWS takes minutes, and says of no size how many.
    is_there = dynamodb.get_waiter("table_exists")
    is_there.wait(**table, WaiterConfig={"Delay": 20, "MaxAttempts": 720})
    if not backup and wanted["TableName"] == platform.audit_table:
        _read_chain(client, platform)
    stream, outlived = wanted.get("StreamSpecification"), wanted.get("TimeToLiveSpecification")
    viewed = {"StreamSpecification": {"StreamEnabled": True, **stream}} if stream else {}
    dynamodb.update_table(**table, DeletionProtectionEnabled=True, **viewed)
    is_there.wait(**table)
    dynamodb.update_continuous_backups(**table, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True})
    if outlived:
        dynamodb.update_time_to_live(**table, TimeToLiveSpecification=outlived)


def _read_chain(client: Callable[[str], Any], platform: Platform) -> None:
    """Put the records of the audit's chains into its table, which must not have its stream yet: that chains them."""
    s3, bucket = client("s3"), platform.bucket("audit")
    for workload in chained_workloads(s3, bucket):
        chain = AuditChain(s3, bucket=bucket, workload=workload)
        for link in map(Link.decode, map(chain.read, chain.links())):
            if link.kind is ChangeKind.ADDED:
                client("dynamodb").put_item(TableName=platform.audit_table, Item=link.record)


def adopt(client: Callable[[str], Any], found: ResourceImport, assembly: Path) -> None:
    """Import the resources into a new stack of the same name, and wait until it is made.

    The template goes to the bucket of the assembly's assets: in a request it may have 51,200 bytes."""
    cloudformation, artifacts = client("cloudformation"), json.loads((assembly / "manifest.json").read_text())
    bucket = artifacts["artifacts"][found.stack]["properties"]["stackTemplateAssetObjectUrl"].split("/")[2]
    place = {"Bucket": bucket, "Key": f"{found.stack}.import.json"}
    client("s3").put_object(**place, Body=json.dumps(found.template))
    cloudformation.create_change_set(
        StackName=found.stack,
        ChangeSetName=CHANGE_SET,
        ChangeSetType="IMPORT",
        TemplateURL=f"https://{bucket}.s3.{cloudformation.meta.region_name}.amazonaws.com/{place['Key']}",
        ResourcesToImport=list(found.resources),
    )
    # A change set is made in the background, and executed in the background, so both are waited for.
    named = {"StackName": found.stack, "ChangeSetName": CHANGE_SET}
    cloudformation.get_waiter("change_set_create_complete").wait(**named)
    cloudformation.execute_change_set(**named)
    cloudformation.get_waiter("stack_import_complete").wait(StackName=found.stack)


def main() -> None:
    """Show what a stage has left, by its templates (`make synth`); with `--yes` restore its tables, and import all."""
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
    for logical_id, backup in deleted_tables(boto3.client("dynamodb"), found).items():
        of = (
            f"from its backup of {backup['BackupCreationDateTime']:%Y-%m-%d %H:%M:%S}" if backup else "without a backup"
        )
        print(f"{logical_id} {of}")
        if given.yes:
            restore_table(boto3.client, platform, found, logical_id, backup=backup["BackupArn"] if backup else None)
    if given.yes:
        adopt(boto3.client, found, given.assembly)


if __name__ == "__main__":
    main()
