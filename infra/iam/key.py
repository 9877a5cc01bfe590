"""Rights on the customer key, and on the key that signs versions. Their ARNs are deploy-time values."""

from __future__ import annotations

from collections.abc import Sequence

from millrace.infra.iam.resource import Statement, resource

WRITING = ("s3:PutObject", "scheduler:UpdateSchedule", "sqs:SendMessage")
"""Actions for which the called service makes a data key in the caller's name."""


def use(key_arn: str, statements: Sequence[Statement]) -> Statement:
    """Decrypt, and GenerateDataKey if one of the statements writes something under the key."""
    # Reading needs Decrypt alone. Writing needs a data key, which the called service requests for the caller.
    writes = not {action for one in statements for action in one.actions}.isdisjoint(WRITING)
    return resource("kms", key_arn).may("Decrypt", *(["GenerateDataKey"] if writes else []))


def lend(key_arn: str) -> Statement:
    """Let a service of AWS use the key for resources that it makes, such as the volumes of an instance."""
    return resource("kms", key_arn, where={"Bool": {"kms:GrantIsForAWSResource": "true"}}).may("CreateGrant")


def describe(key_arn: str) -> Statement:
    """Describe the key, before something is made under it."""
    return resource("kms", key_arn).may("DescribeKey")


def encrypt(key_arn: str) -> Statement:
    """Encrypt the output of a job under the key."""
    return resource("kms", key_arn).may("Encrypt")


def sign(signing_key_arn: str) -> Statement:
    """Sign versions. The public key is read too, as it names the key in the signature."""
    return resource("kms", signing_key_arn).may("GetPublicKey", "Sign")


def verify(signing_key_arn: str) -> Statement:
    """Check signatures of versions."""
    return resource("kms", signing_key_arn).may("Verify")
