"""The bucket `audit` as the platform's stack makes it."""

from __future__ import annotations

from typing import Any


def create_bucket(client: Any, name: str) -> None:
    """`client` is boto3's S3 client."""
    client.create_bucket(
        Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}, ObjectLockEnabledForBucket=True
    )
    rule = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}
    client.put_object_lock_configuration(
        Bucket=name, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule}
    )
