"""The permissions that calls to S3 require: on the object or bucket, on the source of a copy, on the customer key."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from localcloud.iam.policies import Request
from localcloud.iam.required_permissions.permission import ParsedCall, key_permissions, permission
from localcloud.kernel.cloud import ACCOUNT, moto_backend

# Operations whose action has another name. A name that is not here is the action's own.
_S3_ACTIONS = {
    "HeadObject": "GetObject",
    "ListObjects": "ListBucket",
    "ListObjectsV2": "ListBucket",
    "HeadBucket": "ListBucket",
    "ListObjectVersions": "ListBucketVersions",
    "ListMultipartUploads": "ListBucketMultipartUploads",
    "ListParts": "ListMultipartUploadParts",
    "ListBuckets": "ListAllMyBuckets",
    "CopyObject": "PutObject",
    "CreateMultipartUpload": "PutObject",
    "UploadPart": "PutObject",
    "UploadPartCopy": "PutObject",
    "CompleteMultipartUpload": "PutObject",
    "DeleteObjects": "DeleteObject",
    "GetBucketLifecycleConfiguration": "GetLifecycleConfiguration",
    "PutBucketLifecycleConfiguration": "PutLifecycleConfiguration",
    "GetBucketEncryption": "GetEncryptionConfiguration",
    "PutBucketEncryption": "PutEncryptionConfiguration",
    "GetBucketNotificationConfiguration": "GetBucketNotification",
    "PutBucketNotificationConfiguration": "PutBucketNotification",
    "PutPublicAccessBlock": "PutBucketPublicAccessBlock",
}
_VERSIONED = {"GetObject", "DeleteObject", "GetObjectTagging", "PutObjectTagging", "DeleteObjectTagging"}


def of_s3(_: str, parsed: ParsedCall) -> Iterator[Request]:
    """The permissions of one call. A deletion of several objects needs one for each of them."""
    operation = parsed.call.operation
    name = _S3_ACTIONS.get(operation, operation)
    # For a version S3 checks another action: `s3:GetObjectVersion` in place of `s3:GetObject`.
    if name in _VERSIONED and parsed.parameters.get("VersionId"):
        name = name.replace("Object", "ObjectVersion", 1)
    bucket, key = parsed.parameters.get("Bucket"), parsed.parameters.get("Key")
    if bucket is None:
        yield permission(f"s3:{name}")
        return
    if operation == "DeleteObjects":
        for one in parsed.parameters.get("Delete", {}).get("Objects", []):
            version = "Version" if one.get("VersionId") else ""
            yield permission(f"s3:DeleteObject{version}", f"arn:aws:s3:::{bucket}/{one['Key']}")
        return
    yield permission(f"s3:{name}", f"arn:aws:s3:::{bucket}" + (f"/{key}" if key else ""))
    # Some parameters need permissions of their own: a copy's source, tags, a lock.
    if operation == "GetObjectAttributes":
        yield permission("s3:GetObject", f"arn:aws:s3:::{bucket}/{key}")
    if parsed.parameters.get("CopySource"):
        source = parsed.parameters["CopySource"].lstrip("/").partition("?")[0]
        yield permission("s3:GetObject", f"arn:aws:s3:::{source}")
    if parsed.parameters.get("Tagging") and operation in {"PutObject", "CopyObject", "CreateMultipartUpload"}:
        yield permission("s3:PutObjectTagging", f"arn:aws:s3:::{bucket}/{key}")
    if parsed.parameters.get("ObjectLockRetainUntilDate"):
        yield permission("s3:PutObjectRetention", f"arn:aws:s3:::{bucket}/{key}")
    yield from _s3_keys(parsed, bucket, key)


def _s3_keys(parsed: ParsedCall, bucket: str, key: str | None) -> Iterator[Request]:
    """The permissions on customer keys, which S3 uses in the caller's name for the bucket, or for each object.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-key.html"""
    from moto.s3.models import s3_backends

    owner = s3_backends.bucket_accounts.get(bucket, ("", ACCOUNT))[1]
    kept = moto_backend("s3", "aws", account=owner).buckets.get(bucket)
    if kept is None or not key:
        return
    operation = parsed.call.operation
    used_for = bucket if str(_encryption(kept).get("BucketKeyEnabled")).lower() == "true" else f"{bucket}/{key}"
    context = {"kms:encryptioncontext:aws:s3:arn": (f"arn:aws:s3:::{used_for}",)}
    if operation in {"PutObject", "CopyObject", "CreateMultipartUpload", "UploadPart"}:
        own = parsed.parameters.get("SSEKMSKeyId") or _default_key(kept)
        # S3 reads the parts of an upload again when it puts them together.
        verbs = ("GenerateDataKey", "Decrypt") if "Upload" in operation else ("GenerateDataKey",)
        if own:
            yield from key_permissions(own, "s3", *verbs, context=context)
    stored = kept.keys.get(key)
    if operation in {"GetObject", "HeadObject"} and stored is None and not parsed.parameters.get("VersionId"):
        # Whoever may not list the bucket does not learn from AWS that there is no such object. The call has no prefix,
        # so a permission under a condition on the prefix does not count.
        yield permission("s3:ListBucket", f"arn:aws:s3:::{bucket}")
    if operation == "GetObject":
        own = getattr(stored, "kms_key_id", None) or (
            _default_key(kept) if getattr(stored, "encryption", None) == "aws:kms" else None
        )
        if own:
            yield from key_permissions(own, "s3", "Decrypt", context=context)


def destination_permissions(bucket: str, key: str) -> Iterator[Request]:
    """What a role needs for Lambda to write an object into the bucket in its name, as into a destination.

    https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html"""
    # AWS does not say with which prefix it lists, so a permission under a condition on the prefix does not count.
    yield permission("s3:PutObject", f"arn:aws:s3:::{bucket}/{key}")
    yield permission("s3:ListBucket", f"arn:aws:s3:::{bucket}")
    if own := _default_key(moto_backend("s3", "aws").buckets.get(bucket)):
        yield from key_permissions(own, "s3", "GenerateDataKey")


def _encryption(bucket: Any) -> dict[str, Any]:
    """The bucket's rule of encryption; empty for none."""
    encryption = getattr(bucket, "encryption", None) or {}
    rule = encryption.get("Rule") or encryption.get("Rules") or {}
    rule = rule[0] if isinstance(rule, list) and rule else rule
    return rule if isinstance(rule, dict) else {}


def _default_key(bucket: Any) -> str | None:
    """The customer key with which the bucket encrypts by default, or None."""
    default = _encryption(bucket).get("ApplyServerSideEncryptionByDefault", {})
    return default.get("KMSMasterKeyID") if default.get("SSEAlgorithm") == "aws:kms" else None
