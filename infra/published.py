"""The customer key that a deployed stage lies under, which cannot be exchanged for another.

Repositories of images have fixed names and keep the key that they were made with: CloudFormation would have to replace
each by one of the same name, which it refuses.
https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-ecr-repository.html"""

from __future__ import annotations

from millrace.names import Platform


def deployed_key(platform: Platform) -> str | None:
    """Its ARN, which the platform's stack published. None before the first deployment, and where the caller's
    credentials are of another account or may not read the parameter."""
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        if boto3.client("sts", platform.region).get_caller_identity()["Account"] != platform.account:
            return None
        answer = boto3.client("ssm", platform.region).get_parameters(Names=[platform.parameter("key-arn")])
    except (BotoCoreError, ClientError):
        return None
    return next((one["Value"] for one in answer["Parameters"]), None)
