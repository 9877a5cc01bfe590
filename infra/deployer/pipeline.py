"""What the pipelines of `.github/workflows` may do in the stage's account: the calls that they make, and no others."""

from __future__ import annotations

from collections.abc import Sequence

from infra.iam.resource import Resource, Statement, every, resource
from millrace.names import JOB_LOGS, Platform

PULL = ("BatchCheckLayerAvailability", "BatchGetImage", "GetDownloadUrlForLayer")
PUSH = (*PULL, "CompleteLayerUpload", "DescribeImages", "InitiateLayerUpload", "PutImage", "UploadLayerPart")
"""https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-push-iam.html"""


def reading(platform: Platform, bases: Sequence[str], *, key_arn: str | None) -> list[Statement]:
    """Of the environment `<stage>-read`: compare a change with what is deployed, look up base images, validate a model.

    `bases` are the URIs of AWS's own images that ours begin with; `key_arn` is that of a key that the stage brings
    along, which has no alias of ours."""
    artefacts = platform.bucket_arn("artefacts")
    signing = {"ForAnyValue:StringEquals": {"kms:ResourceAliases": platform.signing_key_alias}}
    by_us = {"ForAnyValue:StringEquals": {"kms:ResourceAliases": platform.key_alias}}
    key = resource("kms", key_arn) if key_arn else _key(platform, by_us)
    return [
        _bootstrap(platform, "lookup"),
        (_digests(platform) + _published_key(platform)).may("GetParameters"),
        *_pull_bases(bases),
        resource(
            "sagemaker",
            platform.arn("sagemaker", f"model-package/{platform.prefix}-*"),
            because="A pipeline validates any version of the stage",
        ).may("DescribeModelPackage"),
        resource("s3", artefacts).may("ListBucket"),
        resource("s3", f"{artefacts}/*", because="A run names its folder in the bucket").may("GetObject"),
        resource("dynamodb", platform.arn("dynamodb", f"table/{platform.audit_table}")).may("Query"),
        key.may("Decrypt"),
        _key(platform, signing).may("GetPublicKey", "Verify"),
    ]


def deploying(platform: Platform, bases: Sequence[str]) -> list[Statement]:
    """Of the environment `<stage>`: `cdk deploy` by the roles of its bootstrap, `make images` and `make logs`."""
    ours = resource(
        "ecr", platform.arn("ecr", f"repository/{platform.prefix}-*"), because="The stage's repositories, each an image"
    )
    groups = resource("logs", *(platform.arn("logs", f"log-group:{group}") for group in JOB_LOGS))
    return [
        _bootstrap(platform, "deploy", "file-publishing", "lookup"),
        _digests(platform).may("GetParameters", "PutParameter"),
        _published_key(platform).may("GetParameter", "GetParameters"),
        *_pull_bases(bases),
        ours.may(*PUSH),
        every("logs", because="The action takes no resource").may("DescribeLogGroups"),
        groups.may("AssociateKmsKey", "CreateLogGroup", "PutRetentionPolicy"),
    ]


def _bootstrap(platform: Platform, *roles: str) -> Statement:
    """The roles that `cdk bootstrap` makes: https://docs.aws.amazon.com/cdk/v2/guide/bootstrapping-env.html."""
    place = f"{platform.account}-{platform.region}"
    arns = [platform.arn("iam", f"role/cdk-hnb659fds-{role}-role-{place}") for role in roles]
    return resource("sts", *arns).may("AssumeRole")


def _digests(platform: Platform) -> Resource:
    path = platform.parameter("image/*")
    return resource("ssm", platform.arn("ssm", f"parameter{path}"), because="One for each digest of an image's sources")


def _published_key(platform: Platform) -> Resource:
    """The parameter with the ARN of the key that the stage lies under."""
    return resource("ssm", platform.arn("ssm", f"parameter{platform.parameter('key-arn')}"))


def _key(platform: Platform, where: dict[str, dict[str, str]]) -> Resource:
    """https://docs.aws.amazon.com/kms/latest/developerguide/alias-authorization.html"""
    return resource("kms", platform.arn("kms", "key/*"), because="AWS names a key; its alias is ours", where=where)


def _pull_bases(bases: Sequence[str]) -> list[Statement]:
    return [
        every("ecr", because="The action takes no resource").may("GetAuthorizationToken"),
        resource("ecr", *sorted({_repository(base) for base in bases})).may(*PULL),
    ]


def _repository(base: str) -> str:
    """Of `<account>.dkr.ecr.<region>.amazonaws.com/<repository>:<tag>`."""
    host, _, rest = base.partition("/")
    account, _, _, region, *domain = host.split(".")
    partition = "aws-cn" if domain[-1] == "cn" else "aws-us-gov" if region.startswith("us-gov-") else "aws"
    return f"arn:{partition}:ecr:{region}:{account}:repository/{rest.partition(':')[0]}"
