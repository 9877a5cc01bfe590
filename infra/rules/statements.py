"""The Allow statements of the policies in templates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from infra.rules.assembly import Resource, Stack, listed

INLINE = ("AWS::IAM::Role", "AWS::IAM::User", "AWS::IAM::Group")
ATTACHED = ("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy")
OF_RESOURCES = {
    "AWS::ECR::RepositoryPolicy": "PolicyText",
    "AWS::Events::EventBusPolicy": "Statement",
    "AWS::KMS::Key": "KeyPolicy",
    "AWS::S3::BucketPolicy": "PolicyDocument",
    "AWS::SNS::TopicPolicy": "PolicyDocument",
    "AWS::SQS::QueuePolicy": "PolicyDocument",
}
"""The property with the policy of a resource, which names the callers of this resource alone."""


def documents(resource: Resource) -> list[Mapping[str, Any]]:
    """The identity policies of a role, user, group or policy."""
    if resource.kind in ATTACHED:
        return [resource.properties["PolicyDocument"]]
    return [policy["PolicyDocument"] for policy in resource.properties.get("Policies", [])]


def allowed(stacks: Sequence[Stack]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every Allow statement of the identity policies, with its place."""
    for stack in stacks:
        for resource in stack.resources(*INLINE, *ATTACHED):
            for document in documents(resource):
                yield from ((resource.where, one) for one in listed(document["Statement"]) if one["Effect"] == "Allow")


def allowed_by_resources(stacks: Sequence[Stack]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every Allow statement of the policies of resources, with its place."""
    for stack in stacks:
        for resource in stack.resources(*OF_RESOURCES):
            document = resource.properties[OF_RESOURCES[resource.kind]]
            statements = listed(document.get("Statement", document))
            yield from ((resource.where, one) for one in statements if one["Effect"] == "Allow")
