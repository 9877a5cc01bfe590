"""Rule: names of resources have the characters and the length that their service takes. Else a deployment fails."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from infra.rules.assembly import Stack, given, text
from infra.rules.finding import Finding

NAMES: dict[str, tuple[tuple[str, ...], str]] = {
    "AWS::CloudWatch::Alarm": (("AlarmName",), r".{1,255}"),
    "AWS::DynamoDB::Table": (("TableName",), r"[\w.-]{3,255}"),
    "AWS::ECR::Repository": (("RepositoryName",), r"(?=.{2,256}$)[a-z0-9]+([._/-][a-z0-9]+)*"),
    "AWS::Events::EventBus": (("Name",), r"[/.\w-]{1,256}"),
    "AWS::Events::Rule": (("Name",), r"[.\w-]{1,64}"),
    "AWS::Glue::Database": (("DatabaseInput", "Name"), r"[a-z0-9_]{1,255}"),
    "AWS::Glue::Table": (("TableInput", "Name"), r"[a-z0-9_]{1,255}"),
    "AWS::IAM::Role": (("RoleName",), r"[\w+=,.@-]{1,64}"),
    "AWS::KMS::Alias": (("AliasName",), r"alias/(?!aws/)[\w/-]{1,250}"),
    "AWS::Lambda::Function": (("FunctionName",), r"[\w-]{1,64}"),
    "AWS::Lambda::LayerVersion": (("LayerName",), r"[\w-]{1,140}"),
    "AWS::Logs::LogGroup": (("LogGroupName",), r"[.\-_/#A-Za-z0-9]{1,512}"),
    "AWS::S3::Bucket": (("BucketName",), r"(?!xn--)(?!.*-s3alias$)[a-z0-9][a-z0-9-]{1,61}[a-z0-9]"),
    "AWS::SNS::Topic": (("TopicName",), r"[\w-]{1,256}"),
    "AWS::SQS::Queue": (("QueueName",), r"[\w-]{1,80}"),
    "AWS::SSM::Parameter": (("Name",), r"(?!/aws|/ssm)[\w./-]{1,1011}"),
    "AWS::SageMaker::ModelPackageGroup": (("ModelPackageGroupName",), r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}"),
    "AWS::Scheduler::Schedule": (("Name",), r"[\w.-]{1,64}"),
    "AWS::StepFunctions::StateMachine": (("StateMachineName",), r"[\w-]{1,80}"),
}
"""For each type, the property with the name, and the pattern that it must match by the service's API reference."""
STACK = r"[a-zA-Z][a-zA-Z0-9-]{0,127}"


def check(stacks: Sequence[Stack]) -> Iterator[Finding]:
    """A finding for each name that its service refuses. CloudFormation names a resource without a name."""
    for stack in stacks:
        if not re.fullmatch(STACK, stack.name):
            yield Finding(where=stack.name, expected=f"a stack's name like {STACK}", came=stack.name)
        for resource in stack.resources(*NAMES):
            path, pattern = NAMES[resource.kind]
            name = given(resource.properties, *path)
            if name is not None and not re.fullmatch(pattern, text(name), re.ASCII):
                expected = f"{'.'.join(path)} like {pattern} ({len(text(name))} characters)"
                yield Finding(where=resource.where, expected=expected, came=text(name))
