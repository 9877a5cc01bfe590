"""Rule: resources that keep data use the customer key. Exceptions are listed here with their reasons."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from infra.rules.assembly import Finding, Stack, given, listed, text

RESULTS = ("WorkGroupConfiguration", "ResultConfiguration", "EncryptionConfiguration", "KmsKey")
KEYS: dict[str, tuple[str, ...]] = {
    "AWS::Athena::WorkGroup": RESULTS,
    "AWS::DynamoDB::Table": ("SSESpecification", "KMSMasterKeyId"),
    "AWS::ECR::Repository": ("EncryptionConfiguration", "KmsKey"),
    "AWS::Events::EventBus": ("KmsKeyIdentifier",),
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
    "AWS::Budgets::Budget": "an amount and names",
    "AWS::CloudWatch::": "names of metrics, thresholds and titles",
    "AWS::EC2::": "the network itself",
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
    "AWS::SageMaker::MlflowTrackingServer": "figures, parameters and digests of runs; CloudFormation has no key for it",
    "AWS::SageMaker::ModelPackageGroup": "a name; the artefacts lie in a bucket",
    "AWS::StepFunctions::StateMachine": "names, counts and sentences; rows travel by their place in a bucket",
}
"""Types and families of types that keep nothing of a workload's data, and what they keep."""


def check(stacks: Sequence[Stack]) -> Iterator[Finding]:
    """A finding for each resource without the key, and for each type that no list names."""
    for stack in stacks:
        for resource in stack.resources():
            # Every type is in one of the lists, so a new type must be judged before it passes.
            if resource.kind in KEYS:
                key = given(resource.properties, *KEYS[resource.kind])
                if not key:
                    yield Finding(where=resource.where, expected=f"a key in {'.'.join(KEYS[resource.kind])}", came=key)
            elif resource.kind == "AWS::S3::Bucket":
                if not _is_bucket_encrypted(resource.properties):
                    came = resource.properties.get("BucketEncryption")
                    yield Finding(where=resource.where, expected="the customer key in BucketEncryption", came=came)
            elif not resource.kind.startswith((*WITHOUT_DATA, "AWS::CDK::")):
                yield Finding(
                    where=resource.where, expected="a type that KEYS or WITHOUT_DATA judges", came=resource.kind
                )


def _is_bucket_encrypted(properties: Any) -> bool:
    name = text(properties.get("BucketName", ""))
    if any(f"-{purpose}-" in name for purpose in EXCEPTIONS):
        return True
    rules = listed(given(properties, "BucketEncryption", "ServerSideEncryptionConfiguration") or [])
    return bool(rules) and all(given(rule, *BUCKET) for rule in rules)
