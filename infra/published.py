"""Reads what a deployed stage has published as SSM parameters, and its stacks, for a synth by whoever may read them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from millrace.names import Platform


def published(platform: Platform, names: Iterable[str]) -> Mapping[str, str] | None:
    """The values of the given parameters by name, without the parameters that do not exist.

    None if the caller's credentials are of another account or may not read parameters. That is so for a person who may
    only assume the roles of CDK's bootstrap."""
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        if boto3.client("sts", platform.region).get_caller_identity()["Account"] != platform.account:
            return None
        answer = boto3.client("ssm", platform.region).get_parameters(Names=list(names))
    except (BotoCoreError, ClientError):
        return None
    return {one["Name"]: one["Value"] for one in answer["Parameters"]}


def deployed_key(platform: Platform) -> str | None:
    """The ARN of the customer key under which the stage is deployed; None if it is not deployed or cannot be read.

    The key of a stage cannot be changed. Repositories of images have fixed names and keep their first key, so
    CloudFormation would have to replace each by one of the same name, which it refuses.
    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-ecr-repository.html"""
    name = platform.parameter("key-arn")
    return (published(platform, [name]) or {}).get(name)


def without_folder(platform: Platform, root: Path) -> list[str]:
    """A warning for each deployed workload that has no folder in `root`; none if the stacks cannot be listed."""
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    from millrace.aws.workload_stacks import warnings_without_folder

    try:
        return warnings_without_folder(boto3.client("cloudformation", platform.region), platform, root)
    except (BotoCoreError, ClientError):
        return []
