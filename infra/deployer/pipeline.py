"""The rights of the pipelines of `.github/workflows` in the stage's account: just the calls that they make."""

from __future__ import annotations

from collections.abc import Sequence

from millrace.infra.iam.resource import Resource, Statement, every, resource
from millrace.names import JOB_LOGS, Platform

PULL = ("BatchCheckLayerAvailability", "BatchGetImage", "GetDownloadUrlForLayer")
PUSH = (*PULL, "CompleteLayerUpload", "DescribeImages", "InitiateLayerUpload", "PutImage", "UploadLayerPart")
"""Actions that push an image: https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-push-iam.html"""


def reading(platform: Platform, bases: Sequence[str], *, key_arn: str | None) -> list[Statement]:
    """The rights of the environment `<stage>-read`.

    Its pipelines compare a change with what is deployed, look up base images, and validate a model. `bases` are the
    URIs of AWS's base images. `key_arn` is the key of a stage with a key of its own, which has no alias of ours."""
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
    """The rights of the environment `<stage>`: `cdk deploy` by the roles of its bootstrap, `make images`, `make logs`.

    `bases` are the URIs of AWS's base images."""
    ours = resource(
        "ecr", platform.arn("ecr", f"repository/{platform.prefix}-*"), because="The stage's repositories, each an image"
    )
    groups = resource("logs", *(platform.arn("logs", f"log-group:{group}") for group in JOB_LOGS))
    return [
        _bootstrap(platform, "deploy", "file-publishing", "lookup"),
        _digests(platform).may("GetParameters", "PutParameter"),
        _published_key(platform).may("GetParameter", "GetParameters"),
        *_pull_bases(bases),
        ours.may(*PUSH, "DescribeImageScanFindings"),
        every("inspector2", because="An enhanced scan's findings are Inspector's").may("ListCoverage", "ListFindings"),
        every("logs", because="The action takes no resource").may("DescribeLogGroups"),
        groups.may("CreateLogGroup", "PutRetentionPolicy"),
    ]


def _bootstrap(platform: Platform, *roles: str) -> Statement:
    """Take roles that `cdk bootstrap` makes: https://docs.aws.amazon.com/cdk/v2/guide/bootstrapping-env.html."""
    place = f"{platform.account}-{platform.region}"
    arns = [platform.arn("iam", f"role/cdk-hnb659fds-{role}-role-{place}") for role in roles]
    return resource("sts", *arns).may("AssumeRole")


def _digests(platform: Platform) -> Resource:
    path = platform.parameter("image/*")
    return resource("ssm", platform.arn("ssm", f"parameter{path}"), because="One for each digest of an image's sources")


def _published_key(platform: Platform) -> Resource:
    """The parameter with the ARN of the stage's customer key."""
    return resource("ssm", platform.arn("ssm", f"parameter{platform.parameter('key-arn')}"))


def _key(platform: Platform, where: dict[str, dict[str, str]]) -> Resource:
    """A key by its alias, which is a condition: AWS chooses the id of a key.

    https://docs.aws.amazon.com/kms/latest/developerguide/alias-authorization.html"""
    return resource("kms", platform.arn("kms", "key/*"), because="AWS names a key; its alias is ours", where=where)


def _pull_bases(bases: Sequence[str]) -> list[Statement]:
    return [
        every("ecr", because="The action takes no resource").may("GetAuthorizationToken"),
        resource("ecr", *sorted({_repository(base) for base in bases})).may(*PULL),
    ]


def _repository(base: str) -> str:
    """The ARN of the repository of `<account>.dkr.ecr.<region>.amazonaws.com/<repository>:<tag>`.

    The image may be in another partition's registry, which its domain and region show."""
    # A domain of China ends with `amazonaws.com.cn`; GovCloud is known by its region.
    host, _, rest = base.partition("/")
    account, _, _, region, *domain = host.split(".")
    partition = "aws-cn" if domain[-1] == "cn" else "aws-us-gov" if region.startswith("us-gov-") else "aws"
    return f"arn:{partition}:ecr:{region}:{account}:repository/{rest.partition(':')[0]}"
