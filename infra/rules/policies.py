"""Reads the Allow statements of the policies in templates, and the rules on them: PassRole and wildcards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from millrace.infra.rules.assembly import Finding, Resource, Stack, given, listed, resources, text

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
    for resource in resources(stacks, *INLINE, *ATTACHED):
        for document in documents(resource):
            yield from ((resource.where, one) for one in listed(document["Statement"]) if one["Effect"] == "Allow")


def allowed_by_resources(stacks: Sequence[Stack]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every Allow statement of the policies of resources, each after the place of its resource."""
    for resource in resources(stacks, *OF_RESOURCES):
        # The policy of an event bus is the statement itself.
        document = resource.properties[OF_RESOURCES[resource.kind]]
        statements = listed(document.get("Statement", document))
        yield from ((resource.where, one) for one in statements if one["Effect"] == "Allow")


def check_pass_role(stacks: Sequence[Stack]) -> Iterator[Finding]:
    """A finding for each PassRole on roles with a wildcard, or without the service that may take them.

    Else a caller that may start a job could use any role."""
    for where, statement in allowed(stacks):
        if not any(action.lower() in {"iam:passrole", "iam:*", "*"} for action in listed(statement.get("Action", []))):
            continue
        services = listed(given(statement, "Condition", "StringEquals", "iam:PassedToService") or [])
        if not services or any("*" in service for service in services):
            yield Finding(where=where, expected="iam:PassedToService in Condition.StringEquals", came=services)
        if wide := [text(one) for one in listed(statement.get("Resource", "*")) if "*" in text(one)]:
            yield Finding(where=where, expected="whole ARNs of the roles that are passed", came=wide)


WITHOUT_RESOURCE = {
    "application-autoscaling:DescribeScalableTargets",
    "cloudwatch:DescribeAlarms",
    "cloudtrail:LookupEvents",
    "cloudwatch:GetMetricData",
    "cloudwatch:GetMetricStatistics",
    "cloudwatch:ListDashboards",
    "cloudwatch:PutCompositeAlarm",
    "cloudwatch:PutMetricData",
    "dynamodb:ListStreams",
    "kinesis:ListStreams",
    "ec2:CreateNetworkInterface",
    "ec2:CreateNetworkInterfacePermission",
    "ec2:DeleteNetworkInterface",
    "ec2:DeleteNetworkInterfacePermission",
    "ec2:DescribeDhcpOptions",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcs",
    "ecr:GetAuthorizationToken",
    "events:ListRuleNamesByTarget",
    "events:ListRules",
    "lambda:ListEventSourceMappings",
    "lambda:ListFunctions",
    "logs:CreateLogDelivery",
    "logs:DeleteLogDelivery",
    "logs:DescribeLogGroups",
    "logs:DescribeResourcePolicies",
    "logs:GetLogDelivery",
    "logs:ListLogDeliveries",
    "logs:PutResourcePolicy",
    "logs:UpdateLogDelivery",
    "sagemaker:ListEndpointConfigs",
    "sagemaker:ListHyperParameterTuningJobs",
    "sagemaker:ListModelPackages",
    "sagemaker:ListModels",
    "sagemaker:ListProcessingJobs",
    "sagemaker:ListTags",
    "sagemaker:ListTrainingJobs",
    "sagemaker:ListTransformJobs",
    "scheduler:ListSchedules",
    "sqs:ListQueues",
    "states:ListStateMachines",
    "xray:GetSamplingRules",
    "xray:GetSamplingTargets",
    "xray:PutTelemetryRecords",
    "xray:PutTraceSegments",
}
"""Actions that take no resource, or that AWS's own guide allows on `*`: network interfaces and tags of SageMaker, log
delivery, composite alarms.

https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html"""


def check_wildcards(stacks: Sequence[Stack]) -> Iterator[Finding]:
    """A finding for a wildcard in an action, a principal `*`, and `*` as a resource of an action that takes one."""
    for where, statement in allowed(stacks):
        yield from _actions(where, statement)
        unlisted = sorted(set(map(str, listed(statement.get("Action", [])))) - WITHOUT_RESOURCE)
        if "*" in [text(one) for one in listed(statement.get("Resource", []))] and unlisted:
            yield Finding(where=where, expected=f"a resource for {', '.join(unlisted)}", came="*")
    # Policies of resources name callers: there the principal may not be open.
    for where, statement in allowed_by_resources(stacks):
        if not where.endswith("(AWS::KMS::Key)"):  # a key's own account must keep every right on it
            yield from _actions(where, statement)
        if statement.get("Principal") == "*" or "*" in listed(dict(statement.get("Principal", {})).get("AWS", [])):
            yield Finding(where=where, expected="a service or a role as Principal", came="*")


def _actions(where: str, statement: Mapping[str, Any]) -> Iterator[Finding]:
    if wild := [action for action in listed(statement.get("Action", [])) if "*" in action]:
        yield Finding(where=where, expected="whole names of actions", came=wild)
    if negated := [key for key in ("NotAction", "NotResource", "NotPrincipal") if key in statement]:
        yield Finding(where=where, expected="what is allowed, not what is not", came=negated)
