"""What other accounts may do with a stage: statements of the resources' own policies.

For a stage that pulls versions each names the account and, by a condition, the roles that pull there. An account must
exist, its roles may come later. Whoever pulls, drops or calls needs the rights of both accounts:
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic-cross-account.html
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from millrace.infra.options import Reader
from millrace.infra.settings import StageSettings
from millrace.names import Platform, WorkloadNames

PULL = "pull"
"""The function that pulls versions, and the owner of its role."""
Statement = dict[str, Any]


def read_runs(settings: StageSettings) -> list[Statement]:
    """On the bucket of artefacts: find and get what lies below the runs."""
    arn = settings.platform.bucket_arn("artefacts")
    runs = {"StringLike": {"s3:prefix": "*/runs/*"}}
    return [
        statement
        for reader in settings.options.released_to
        for statement in (
            _allow(settings, reader, "Get", ["s3:GetObject"], f"{arn}/*/runs/*"),
            _allow(settings, reader, "Find", ["s3:ListBucket"], arn, **runs),
        )
    ]


def decrypt(settings: StageSettings) -> list[Statement]:
    """On the customer key: read what the bucket holds, and nothing else."""
    via = {"StringEquals": _by_s3(settings)}
    return [_allow(settings, reader, "Read", ["kms:Decrypt"], "*", **via) for reader in settings.options.released_to]


def verify(settings: StageSettings) -> list[Statement]:
    """On the signing key: check signatures."""
    return [_allow(settings, reader, "Verify", ["kms:Verify"], "*") for reader in settings.options.released_to]


def drop_files(settings: StageSettings) -> list[Statement]:
    """On the bucket `landing`: put files below a folder of one's own, so that no account replaces another's."""
    arn = settings.platform.bucket_arn("landing")
    return [
        _of_account(settings, account, ["s3:PutObject", "s3:AbortMultipartUpload"], folders)
        for account, partner in settings.options.partners.items()
        if (folders := [f"{arn}/{place}/{account}/*" for place in partner.drops])
    ]


def encrypt_drops(settings: StageSettings) -> list[Statement]:
    """On the customer key: put files through S3, which uses it for the bucket, and decrypts the parts of an upload.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html#mpuAndPermissions"""
    bucket = {"kms:EncryptionContext:aws:s3:arn": settings.platform.bucket_arn("landing")}
    only = {"Condition": {"StringEquals": {**_by_s3(settings), **bucket}}}
    return [
        _of_account(settings, account, ["kms:Decrypt", "kms:GenerateDataKey"], "*") | only
        for account, partner in settings.options.partners.items()
        if partner.drops
    ]


def call_api(settings: StageSettings, workload: str) -> list[Statement]:
    """On the workload's REST API: call it; nobody may but by the endpoints of a private one.

    Who is of the stage's own account needs no statement:
    https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-authorization-flow.html"""
    call, every = "execute-api:Invoke", "execute-api:/*"
    called = [
        _of_account(settings, account, call, every)
        for account, partner in settings.options.partners.items()
        if workload in partner.calls
    ]
    if settings.options.api and (endpoints := settings.options.api.private):
        elsewhere = {"StringNotEquals": {"aws:SourceVpce": list(endpoints)}}
        refused = {"Effect": "Deny", "Principal": "*", "Action": call, "Resource": every, "Condition": elsewhere}
        called.append(refused)
    return called


def describe_versions(settings: StageSettings, names: WorkloadNames) -> list[Statement]:
    """On the workload's group of versions: describe one."""
    versions, actions = names.package_arn("*"), ["sagemaker:DescribeModelPackage"]
    return [_allow(settings, reader, "Describe", actions, versions) for reader in settings.options.released_to]


def pull_images(readers: Sequence[Reader], platform: Platform) -> list[Statement]:
    """On the repository of the image that serves: pull images.

    Whoever deploys the other stage copies them, so no role is named."""
    actions = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    return [
        {
            "Sid": f"Pull{reader.account}{number}",
            "Effect": "Allow",
            "Principal": _root(platform, reader.account),
            "Action": actions,
        }
        for number, reader in enumerate(readers)
    ]


def run_spark(platform: Platform) -> list[Statement]:
    """On the repository of the image of Spark: EMR Serverless pulls it for the account's applications.

    https://docs.aws.amazon.com/emr/latest/EMR-Serverless-UserGuide/application-custom-image.html"""
    applications = platform.arn("emr-serverless", "/applications/*")
    return [
        {
            "Sid": "Spark",
            "Effect": "Allow",
            "Principal": {"Service": "emr-serverless.amazonaws.com"},
            "Action": ["ecr:BatchGetImage", "ecr:DescribeImages", "ecr:GetDownloadUrlForLayer"],
            "Condition": {"StringLike": {"aws:SourceArn": applications}},
        }
    ]


def _allow(
    settings: StageSettings, reader: Reader, verb: str, actions: list[str], resource: str, **conditions: Statement
) -> Statement:
    """Allow the roles that pull for the reader's stage, and no other role of its account."""
    partition = settings.platform.partition
    roles = f"arn:{partition}:iam::{reader.account}:role/millrace-{reader.stage}-*-{PULL}"
    sid = f"{verb}{reader.stage.capitalize()}{reader.account}"
    only = {"Condition": {"ArnLike": {"aws:PrincipalArn": roles}, **conditions}}
    return _of_account(settings, reader.account, actions, resource, sid=sid) | only


def _of_account(
    settings: StageSettings, account: str, action: str | list[str], resource: str | list[str], *, sid: str = ""
) -> Statement:
    """Allow what the account allows its own roles."""
    named = {"Sid": sid or f"Partner{account}", "Effect": "Allow", "Principal": _root(settings.platform, account)}
    return {**named, "Action": action, "Resource": resource}


def _by_s3(settings: StageSettings) -> Statement:
    return {"kms:ViaService": f"s3.{settings.platform.region}.{settings.platform.domain}"}


def _root(platform: Platform, account: str) -> Statement:
    return {"AWS": f"arn:{platform.partition}:iam::{account}:root"}
