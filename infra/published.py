"""What a deployed stage has published as SSM parameters, for a synth by somebody who may read them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from millrace.names import Platform


def published(platform: Platform, names: Iterable[str]) -> Mapping[str, str] | None:
    """The values of those of these parameters that there are, by name.

    None where the caller's credentials are of another account or may not read parameters, as those of a person who may
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
    """The ARN of the customer key that the stage lies under; None before the first deployment, and as `published`.

    It cannot be exchanged for another: repositories of images have fixed names and keep the key that they were made
    with, so CloudFormation would have to replace each by one of the same name, which it refuses.
    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-ecr-repository.html"""
    name = platform.parameter("key-arn")
    return (published(platform, [name]) or {}).get(name)
