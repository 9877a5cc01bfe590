"""Buckets, tables, image repositories, keys and parameters."""

from __future__ import annotations

import json
import re
from typing import Any

from localcloud.cloudformation.resources.kind import Kind, Made, Wanted, arn, dropped
from localcloud.kernel.cloud import moto_backend


def _put_bucket(wanted: Wanted) -> Made:
    name = wanted.name("BucketName", longest=63, lower=True)
    if wanted.before is None:
        place = {"LocationConstraint": wanted.cloud.region}
        wanted.call(
            "s3",
            "CreateBucket",
            Bucket=name,
            CreateBucketConfiguration=place,
            ObjectLockEnabledForBucket=wanted.properties.get("ObjectLockEnabled"),
        )
    wanted.call("s3", "HeadBucket", Bucket=name)
    # Each other property of a bucket is a call of its own.
    for key in wanted.rest("BucketName", "ObjectLockEnabled"):
        if wanted.changed(key):
            _BUCKET_SETTINGS[key](wanted, name, wanted.properties[key])
    domain = f"{name}.s3.{wanted.cloud.region}.amazonaws.com"
    attributes = {"Arn": f"arn:aws:s3:::{name}", "DomainName": f"{name}.s3.amazonaws.com"}
    return Made(ref=name, attributes={**attributes, "RegionalDomainName": domain})


class _BucketSettings(dict[str, Any]):
    """Handlers of a bucket's properties by name. An unknown property raises ValueError."""

    def __missing__(self, key: str) -> Any:
        raise ValueError(f"AWS::S3::Bucket: property {key} is not known to the local cloud")


def _setting(operation: str, parameter: str) -> Any:
    """A handler that passes the property on unchanged, as one parameter of one call."""
    return lambda wanted, name, value: wanted.call("s3", operation, Bucket=name, **{parameter: value})


def _encryption(wanted: Wanted, name: str, value: dict[str, Any]) -> None:
    rules = [
        {"ApplyServerSideEncryptionByDefault": rule["ServerSideEncryptionByDefault"]}
        | {key: item for key, item in rule.items() if key != "ServerSideEncryptionByDefault"}
        for rule in value["ServerSideEncryptionConfiguration"]
    ]
    wanted.call("s3", "PutBucketEncryption", Bucket=name, ServerSideEncryptionConfiguration={"Rules": rules})


def _notification(wanted: Wanted, name: str, value: dict[str, Any]) -> None:
    bridge = value.get("EventBridgeConfiguration", {})
    if set(value) - {"EventBridgeConfiguration"}:
        raise ValueError("AWS::S3::Bucket: the local cloud notifies only through EventBridge")
    enabled = str(bridge.get("EventBridgeEnabled", True)).lower() == "true"
    setting: dict[str, Any] = {"EventBridgeConfiguration": {}} if enabled else {}
    wanted.call("s3", "PutBucketNotificationConfiguration", Bucket=name, NotificationConfiguration=setting)


def _lifecycle(wanted: Wanted, name: str, value: dict[str, Any]) -> None:
    rules = [_lifecycle_rule(rule) for rule in value["Rules"]]
    wanted.call("s3", "PutBucketLifecycleConfiguration", Bucket=name, LifecycleConfiguration={"Rules": rules})


def _lifecycle_rule(rule: dict[str, Any]) -> dict[str, Any]:
    """CloudFormation's flat rule in the API's nested form: `{"ExpirationInDays": 7}` is `{"Expiration": {"Days": 7}}`.

    Members that both write alike are taken over."""
    rest = dict(rule)
    made: dict[str, Any] = {"Status": rest.pop("Status"), "Filter": {"Prefix": rest.pop("Prefix", "")}}
    for flat, nested in (("ExpirationInDays", "Days"), ("ExpiredObjectDeleteMarker", "ExpiredObjectDeleteMarker")):
        if flat in rest:
            made["Expiration"] = {nested: rest.pop(flat)}
    for moves, days in (("Transitions", "Days"), ("NoncurrentVersionTransitions", "NoncurrentDays")):
        if moves in rest:
            made[moves] = [
                {"StorageClass": item["StorageClass"], days: item["TransitionInDays"]} for item in rest.pop(moves)
            ]
    if "Id" in rest:
        made["ID"] = rest.pop("Id")
    return made | rest


def _logging(_: Wanted, name: str, value: dict[str, Any]) -> None:
    """Keep the setting, by which no log is written.

    It is set on moto's bucket directly: moto's call reads the target's policy first, and knows few forms of one (a
    single text as the resource). May go when moto reads such a policy as AWS does."""

    target = value.get("DestinationBucketName", name)
    bucket = moto_backend("s3", "aws").buckets[name]
    bucket.logging = {"TargetBucket": target, "TargetPrefix": value.get("LogFilePrefix", "")}


def _acl(wanted: Wanted, name: str, value: str) -> None:
    """Set the bucket's canned list of grants: a template's `LogDeliveryWrite` is the API's `log-delivery-write`.

    The template of `cdk bootstrap` has one."""
    kebab = re.sub(r"(?<=[a-z])(?=[A-Z])", "-", value).lower()
    wanted.call("s3", "PutBucketAcl", Bucket=name, ACL=kebab)


_BUCKET_SETTINGS = _BucketSettings(
    AccessControl=_acl,
    VersioningConfiguration=_setting("PutBucketVersioning", "VersioningConfiguration"),
    PublicAccessBlockConfiguration=_setting("PutPublicAccessBlock", "PublicAccessBlockConfiguration"),
    OwnershipControls=_setting("PutBucketOwnershipControls", "OwnershipControls"),
    ObjectLockConfiguration=_setting("PutObjectLockConfiguration", "ObjectLockConfiguration"),
    BucketEncryption=_encryption,
    NotificationConfiguration=_notification,
    LifecycleConfiguration=_lifecycle,
    LoggingConfiguration=_logging,
    Tags=lambda wanted, name, value: wanted.call("s3", "PutBucketTagging", Bucket=name, Tagging={"TagSet": value}),
)


def _put_bucket_policy(wanted: Wanted) -> Made:
    """Keep the whole policy. `localcloud.iam.identity` decides calls by it, its conditions included."""
    bucket = wanted.properties["Bucket"]
    wanted.call("s3", "PutBucketPolicy", Bucket=bucket, Policy=wanted.properties["PolicyDocument"])
    return Made(ref=bucket)


def _put_table(wanted: Wanted) -> Made:
    name = wanted.name("TableName", longest=255)
    # `extras` have calls of their own. For stream and encryption the API has a switch where a template has none, or
    # names it otherwise.
    extras = ("PointInTimeRecoverySpecification", "TimeToLiveSpecification", "ContributorInsightsSpecification")
    stream = wanted.properties.get("StreamSpecification")
    sse = dict(wanted.properties.get("SSESpecification", {}))
    settings = wanted.rest("TableName", "StreamSpecification", "SSESpecification", *extras) | {
        "StreamSpecification": stream and {"StreamEnabled": True, **stream},
        "SSESpecification": sse and {"Enabled": sse.pop("SSEEnabled", True), **sse},
    }
    if wanted.before is None:
        described = wanted.call("dynamodb", "CreateTable", TableName=name, **settings)["TableDescription"]
    else:
        settings = {key: value for key, value in settings.items() if key != "Tags" and wanted.changed(key)}
        described = wanted.call("dynamodb", "UpdateTable", TableName=name, **settings)["TableDescription"]
    for operation, setting in zip(("UpdateContinuousBackups", "UpdateTimeToLive"), extras, strict=False):
        if wanted.changed(setting):
            wanted.call("dynamodb", operation, TableName=name, **wanted.get(setting))
    attributes = {"Arn": described["TableArn"], "StreamArn": described.get("LatestStreamArn", "")}
    return Made(ref=name, attributes=attributes)


def _put_repository(wanted: Wanted) -> Made:
    name = wanted.name("RepositoryName", longest=256, lower=True)
    policies = ("LifecyclePolicy", "RepositoryPolicyText", "EmptyOnDelete")
    if wanted.before is None:
        wanted.call("ecr", "CreateRepository", repositoryName=name, **wanted.rest("RepositoryName", *policies))
    if "LifecyclePolicy" in wanted.properties:
        text = wanted.properties["LifecyclePolicy"]["LifecyclePolicyText"]
        wanted.call("ecr", "PutLifecyclePolicy", repositoryName=name, lifecyclePolicyText=text)
    if "RepositoryPolicyText" in wanted.properties:
        text = wanted.properties["RepositoryPolicyText"]
        wanted.call("ecr", "SetRepositoryPolicy", repositoryName=name, policyText=text)
    uri = f"123456789012.dkr.ecr.{wanted.cloud.region}.amazonaws.com/{name}"
    return Made(ref=name, attributes={"Arn": arn("ecr", wanted, f"repository/{name}"), "RepositoryUri": uri})


def _put_key(wanted: Wanted) -> Made:
    own = ("KeyPolicy", "EnableKeyRotation", "PendingWindowInDays", "RotationPeriodInDays", "Enabled", "Tags")
    policy = json.dumps(wanted.properties["KeyPolicy"])
    if wanted.before is None:
        tags = [{"TagKey": tag["Key"], "TagValue": tag["Value"]} for tag in wanted.properties.get("Tags", [])]
        made = wanted.call("kms", "CreateKey", Policy=policy, Tags=tags, **wanted.rest(*own))["KeyMetadata"]
        key_id = made["KeyId"]
    else:
        key_id = wanted.before.ref
        wanted.call("kms", "PutKeyPolicy", KeyId=key_id, PolicyName="default", Policy=policy)
    if str(wanted.properties.get("EnableKeyRotation", False)).lower() == "true":
        wanted.call("kms", "EnableKeyRotation", KeyId=key_id, **wanted.get("RotationPeriodInDays"))
    return Made(ref=key_id, attributes={"Arn": arn("kms", wanted, f"key/{key_id}"), "KeyId": key_id})


def _put_key_alias(wanted: Wanted) -> Made:
    target = wanted.properties["TargetKeyId"].rpartition("/")[2]
    wanted.settle("kms", "Alias", AliasName=wanted.properties["AliasName"], TargetKeyId=target)
    return Made(ref=wanted.properties["AliasName"])


def _put_parameter(wanted: Wanted) -> Made:
    name = wanted.name("Name", longest=1024)
    wanted.call("ssm", "PutParameter", Name=name, Overwrite=True, **wanted.rest("Name", "Tags"))
    if tags := wanted.properties.get("Tags"):
        # In a template they are an object, where the API has a list.
        pairs = [{"Key": key, "Value": value} for key, value in tags.items()]
        wanted.call("ssm", "AddTagsToResource", ResourceType="Parameter", ResourceId=name, Tags=pairs)
    value = {"Type": wanted.properties["Type"], "Value": str(wanted.properties["Value"])}
    return Made(ref=name, attributes=value)


KINDS = {
    "AWS::S3::Bucket": dropped(_put_bucket, "s3:DeleteBucket", "Bucket", "BucketName", "ObjectLockEnabled"),
    "AWS::S3::BucketPolicy": dropped(_put_bucket_policy, "s3:DeleteBucketPolicy", "Bucket", "Bucket"),
    "AWS::DynamoDB::Table": dropped(_put_table, "dynamodb:DeleteTable", "TableName", "TableName", "KeySchema"),
    "AWS::ECR::Repository": Kind(
        put=_put_repository,
        drop=lambda wanted, made: wanted.call(
            "ecr", "DeleteRepository", repositoryName=made.ref, force=made.properties.get("EmptyOnDelete", False)
        ),
        fixed=("RepositoryName", "EncryptionConfiguration"),
    ),
    "AWS::KMS::Key": dropped(_put_key, "kms:ScheduleKeyDeletion", "KeyId"),
    "AWS::KMS::Alias": dropped(_put_key_alias, "kms:DeleteAlias", "AliasName", "AliasName"),
    "AWS::SSM::Parameter": dropped(_put_parameter, "ssm:DeleteParameter", "Name", "Name"),
}
