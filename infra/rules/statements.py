"""Reads the Allow statements of the policies in templates."""

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
"""For each type with a policy of its own, the property that has it. Such a policy names who may call the resource."""


def documents(resource: Resource) -> list[Mapping[str, Any]]:
    """The documents of the identity policies of a role, a user, a group or a policy."""
    if resource.kind in ATTACHED:
        return [resource.properties["PolicyDocument"]]
    return [policy["PolicyDocument"] for policy in resource.properties.get("Policies", [])]


def allowed(stacks: Sequence[Stack]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every Allow statement of the identity policies, each after the place of its resource."""
    for stack in stacks:
        for resource in stack.resources(*INLINE, *ATTACHED):
            for document in documents(resource):
                yield from ((resource.where, one) for one in listed(document["Statement"]) if one["Effect"] == "Allow")


def allowed_by_resources(stacks: Sequence[Stack]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every Allow statement of the policies of resources, each after the place of its resource."""
    for stack in stacks:
        for resource in stack.resources(*OF_RESOURCES):
            # The policy of an event bus is the statement itself.
            document = resource.properties[OF_RESOURCES[resource.kind]]
            statements = listed(document.get("Statement", document))
            yield from ((resource.where, one) for one in statements if one["Effect"] == "Allow")
