"""Rule: resources that keep data use the customer key. Exceptions are listed here with their reasons.

A bus under the key has a dead-letter queue. Queues for what EventBridge could not deliver are under a key of SQS's own:
the reason may be the customer key itself. An event that was encrypted on the bus stays encrypted there.
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-encryption-event-bus-dlq-decrypt.html"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from typing import Any

from millrace.infra.rules.assembly import Finding, Resource, Stack, given, listed, resources, text

RESULTS = ("WorkGroupConfiguration", "ResultConfiguration", "EncryptionConfiguration", "KmsKey")
KEYS: dict[str, tuple[str, ...]] = {
    "AWS::Athena::WorkGroup": RESULTS,
    "AWS::CloudTrail::Trail": ("KMSKeyId",),
    "AWS::DynamoDB::Table": ("SSESpecification", "KMSMasterKeyId"),
    "AWS::ECR::Repository": ("EncryptionConfiguration", "KmsKey"),
    "AWS::Events::EventBus": ("KmsKeyIdentifier",),
    "AWS::Kinesis::Stream": ("StreamEncryption", "KeyId"),
    "AWS::Lambda::Function": ("KmsKeyArn",),
    "AWS::Logs::LogGroup": ("KmsKeyId",),
    "AWS::SNS::Topic": ("KmsMasterKeyId",),
    "AWS::SQS::Queue": ("KmsMasterKeyId",),
    "AWS::Scheduler::Schedule": ("KmsKeyArn",),
}
"""For each type, the property that names the key."""
BUCKET = ("ServerSideEncryptionByDefault", "KMSMasterKeyID")
EXCEPTIONS = {
    "access-logs": "S3 delivers access logs only to a bucket under its own key (SSE-S3)",
}
"""Buckets without the key, by their purpose."""
WITHOUT_DATA = {
    "AWS::ApiGateway::": "forms of requests and names; its stage keeps no answer",
    "AWS::Budgets::Budget": "an amount and names",
    "AWS::CloudWatch::": "names of metrics, thresholds and titles",
    "AWS::CodeDeploy::": "names of functions and alarms",
    "AWS::EC2::": "the network itself",
    "AWS::EMRServerless::Application": "disks that live as long as a job; CloudFormation has no key for them",
    "AWS::Events::ApiDestination": "a URL, which Secrets Manager keeps",
    "AWS::Events::Connection": "a header with the stage's name, no credential",
    "AWS::Events::Rule": "a pattern of ours, no event",
    "AWS::Glue::": "names and types of columns; the data lies in the lake",
    "AWS::IAM::": "policies",
    "AWS::KMS::": "the key itself",
    "AWS::Lambda::EventSourceMapping": "names; it filters nothing, so it holds no pattern",
    "AWS::Lambda::Alias": "a name",
    "AWS::Lambda::LayerVersion": "published packages",
    "AWS::Lambda::Permission": "a policy",
    "AWS::Lambda::Url": "a name",
    "AWS::Lambda::Version": "of a function, whose key encrypts its snapshot too",
    "AWS::S3::BucketPolicy": "a policy",
    "AWS::SNS::Subscription": "the address of who is notified",
    "AWS::SNS::TopicPolicy": "a policy",
    "AWS::SQS::QueuePolicy": "a policy",
    "AWS::SSM::Parameter": "names of resources; no secret",
    "AWS::SageMaker::MlflowApp": "figures, parameters and digests of runs; CloudFormation has no key for it",
    "AWS::SageMaker::ModelPackageGroup": "a name; the artefacts lie in a bucket",
    "AWS::StepFunctions::StateMachine": "names, counts and sentences; rows travel by their place in a bucket",
}
"""Types and families of types that keep nothing of a workload's data, and what they keep."""


def check(stacks: Sequence[Stack]) -> Iterator[Finding]:
    """A finding for each resource without the key, and for each type that no list names."""
    undelivered = set(_undelivered(stacks))
    for resource in resources(stacks):
        for expected, came in _lacking(resource, undelivered):
            yield Finding(where=resource.where, expected=expected, came=came)


def _lacking(resource: Resource, undelivered: Container[str]) -> Iterator[tuple[str, Any]]:
    """What is expected of the resource, and what came."""
    kind, properties = resource.kind, resource.properties
    if kind == "AWS::Events::EventBus" and not given(properties, "DeadLetterConfig", "Arn"):
        yield "a queue in DeadLetterConfig.Arn", properties.get("DeadLetterConfig")
    if kind == "AWS::SQS::Queue" and text(properties.get("QueueName", "")) in undelivered:
        if properties.get("KmsMasterKeyId") or not properties.get("SqsManagedSseEnabled"):
            yield "SqsManagedSseEnabled without the customer key", properties.get("KmsMasterKeyId")
    # Every type is in one of the lists, so a new type must be judged before it passes.
    elif kind in KEYS:
        if not (key := given(properties, *KEYS[kind])):
            yield f"a key in {'.'.join(KEYS[kind])}", key
    elif kind == "AWS::S3::Bucket":
        if not _is_bucket_encrypted(properties):
            yield "the customer key in BucketEncryption", properties.get("BucketEncryption")
    elif not kind.startswith((*WITHOUT_DATA, "AWS::CDK::")):
        yield "a type that KEYS or WITHOUT_DATA judges", kind


def _undelivered(stacks: Sequence[Stack]) -> Iterator[str]:
    """The names of the queues that take what a bus or a rule could not deliver."""
    for resource in resources(stacks):
        targets = listed(resource.properties.get("Targets", [])) if resource.kind == "AWS::Events::Rule" else []
        for sender in (resource.properties, *targets):
            if arn := given(sender, "DeadLetterConfig", "Arn"):
                yield text(arn).rpartition(":")[2]


def _is_bucket_encrypted(properties: Any) -> bool:
    name = text(properties.get("BucketName", ""))
    if any(f"-{purpose}-" in name for purpose in EXCEPTIONS):
        return True
    rules = listed(given(properties, "BucketEncryption", "ServerSideEncryptionConfiguration") or [])
    return bool(rules) and all(given(rule, *BUCKET) for rule in rules)
