"""The keys of a stage: the customer key, and the key that signs model versions. Both outlive the stack."""

from __future__ import annotations

from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_kms as kms
from constructs import Construct

from millrace.infra.iam import sharing
from millrace.infra.iam.resource import let, policy
from millrace.infra.settings import StageSettings
from millrace.infra.stacks.audit import CLOUDTRAIL
from millrace.names import Platform
from millrace.operations.trail import trail_arn

PRODUCERS = ("budgets.amazonaws.com", "cloudwatch.amazonaws.com", "events.amazonaws.com")
"""Services that write into our encrypted queues and topics in their own name. Others do it in the name of a role."""


def customer_key(stack: Construct, settings: StageSettings, *, kept: cdk.RemovalPolicy) -> str:
    """Make the customer key in the stack; its ARN. The services of PRODUCERS may use it for this account."""
    names = settings.platform
    key = kms.CfnKey(
        stack,
        "Key",
        description=f"Customer key of {names.prefix}",
        enable_key_rotation=True,
        pending_window_in_days=30,
        key_policy=policy([*_statements(settings), *sharing.decrypt(settings), *sharing.encrypt_drops(settings)]),
    )
    key.apply_removal_policy(kept)
    kms.CfnAlias(stack, "KeyAlias", alias_name=names.key_alias, target_key_id=key.ref)
    return key.attr_arn


def _account(names: Platform) -> dict[str, Any]:
    """The statement that leaves the rights on the key to the account's own policies."""
    return {
        "Sid": "Account",
        "Effect": "Allow",
        "Principal": {"AWS": names.arn("iam", "root")},
        "Action": "kms:*",
        "Resource": "*",
    }


def _statements(settings: StageSettings) -> list[dict[str, Any]]:
    names = settings.platform
    ours, use = {"StringEquals": {"aws:SourceAccount": names.account}}, ["kms:Decrypt", "kms:GenerateDataKey"]
    # "Producers" lets EventBridge send to queues. For topics its condition "is not supported for
    # EventBridge-to-encrypted topics", so the condition is the encrypted topic instead.
    # https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html
    topic = {"StringEquals": {"kms:EncryptionContext:aws:sns:topicArn": names.alarm_topic_arn}}
    every = ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey", "kms:ReEncryptFrom",
             "kms:ReEncryptTo"]  # fmt: skip
    logs = {"ArnLike": {"kms:EncryptionContext:aws:logs:arn": names.arn("logs", "*")}}
    # A bucket with a key of its own asks for Decrypt too.
    # https://docs.aws.amazon.com/awscloudtrail/latest/userguide/create-kms-key-policy-for-cloudtrail.html
    trail = {"aws:SourceArn": trail_arn(names)}
    encrypted = {"StringEquals": {**trail, "kms:EncryptionContext:aws:cloudtrail:arn": trail_arn(names)}}
    access = [
        let(CLOUDTRAIL, "kms:GenerateDataKey*", where=encrypted, sid="Trail"),
        let(CLOUDTRAIL, ["kms:Decrypt", "kms:DescribeKey"], where={"StringEquals": trail}, sid="TrailKey"),
    ]
    return [
        _account(names),
        *(access if settings.audits_access else ()),
        let(list(PRODUCERS), use, where=ours, sid="Producers"),
        let("events.amazonaws.com", use, where=topic, sid="Notices"),
        # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-encryption-key-policy.html
        let("events.amazonaws.com", "kms:DescribeKey", where=ours, sid="Bus"),
        let(f"logs.{names.region}.amazonaws.com", every, where=logs, sid="Logs"),
    ]


def signing_key(stack: Construct, settings: StageSettings, *, kept: cdk.RemovalPolicy) -> str:
    """Make the signing key in the stack; its ARN. The function `registration` signs versions with it.

    It is never rotated, since KMS rotates no asymmetric key."""
    names = settings.platform
    registrations = names.arn("iam", f"role/{names.prefix}-*-registration")
    key = kms.CfnKey(
        stack,
        "SigningKey",
        description=f"Signs model versions of {names.prefix}",
        key_spec="ECC_NIST_P256",
        key_usage="SIGN_VERIFY",
        pending_window_in_days=30,
        key_policy=policy(
            [
                _account(names),
                {
                    # Else an administrator with kms:* could sign anything.
                    "Sid": "RegistrationsAlone",
                    "Effect": "Deny",
                    "Principal": "*",
                    "Action": "kms:Sign",
                    "Resource": "*",
                    "Condition": {"ArnNotLike": {"aws:PrincipalArn": registrations}},
                },
                *sharing.verify(settings),
            ]
        ),
    )
    key.apply_removal_policy(kept)
    alias = kms.CfnAlias(stack, "SigningKeyAlias", alias_name=names.signing_key_alias, target_key_id=key.ref)
    alias.apply_removal_policy(kept)
    return key.attr_arn
