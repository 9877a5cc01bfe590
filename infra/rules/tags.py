"""Rule: everything that takes tags has the platform's tags. They say to which stage, workload and room it belongs.

The bill is split by them. Resources that machines make at run time are in no template, so the calls of the machines
give the tags themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import botocore.session

from millrace.infra.rules.assembly import Finding, Stack, resources, tasks

EVERY_TAG = ("millrace:stage", "millrace:workload", "millrace:component")
UNTAGGABLE = frozenset(
    {
        "AWS::ApiGateway::Account", "AWS::ApiGateway::Deployment",
        "AWS::EC2::SubnetRouteTableAssociation", "AWS::Events::ApiDestination", "AWS::Events::Connection",
        "AWS::Glue::Database", "AWS::Glue::Table", "AWS::IAM::ManagedPolicy", "AWS::KMS::Alias",
        "AWS::Lambda::Alias", "AWS::Lambda::LayerVersion", "AWS::Lambda::Permission", "AWS::Lambda::Url",
        "AWS::Lambda::Version", "AWS::S3::BucketPolicy",
        "AWS::SNS::Subscription", "AWS::SNS::TopicPolicy", "AWS::SQS::QueuePolicy", "AWS::Scheduler::Schedule",
    }
)  # fmt: skip
"""Types for which CloudFormation's resource specification says `taggable: false`."""
PROPERTY = {"AWS::Budgets::Budget": "ResourceTags"}
"""The property with the tags, for types in which it is not `Tags`."""


def check(stacks: Sequence[Stack]) -> Iterator[Finding]:
    """A finding for each resource that lacks one of the platform's tags, and for each call that makes such a thing."""
    for resource in resources(stacks):
        if resource.kind not in UNTAGGABLE:
            given = resource.properties.get(PROPERTY.get(resource.kind, "Tags"))
            yield from _missing(resource.where, given)
    for task in tasks(stacks):
        if task.service == "sagemaker" and task.action[0].upper() + task.action[1:] in _tagged():
            yield from _missing(task.where, task.parameters.get("Tags"))


def _missing(where: str, given: Any) -> Iterator[Finding]:
    pairs = given.items() if isinstance(given, Mapping) else [(one["Key"], one.get("Value")) for one in given or []]
    missing = set(EVERY_TAG) - {key for key, value in pairs if value}
    if missing:
        yield Finding(where=where, expected=f"the tags {', '.join(EVERY_TAG)}", came=given)


@cache
def _tagged() -> frozenset[str]:
    """The operations of SageMaker that make something with tags, by botocore's model."""
    # AddTags takes tags as well, but makes nothing.
    model = botocore.session.get_session().get_service_model("sagemaker")
    shapes = {name: model.operation_model(name).input_shape for name in model.operation_names if name != "AddTags"}
    return frozenset(name for name, shape in shapes.items() if shape and "Tags" in shape.members)
