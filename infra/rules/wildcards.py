"""Rule: no wildcard in an action, no principal `*`, and `*` as a resource only for actions that take no resource."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from infra.rules.assembly import Stack, listed, text
from infra.rules.finding import Finding
from infra.rules.statements import allowed, allowed_by_resources

WITHOUT_RESOURCE = {
    "application-autoscaling:DescribeScalableTargets",
    "cloudwatch:DescribeAlarms",
    "cloudwatch:ListDashboards",
    "cloudwatch:PutCompositeAlarm",
    "cloudwatch:PutMetricData",
    "dynamodb:ListStreams",
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
    "lambda:ListEventSourceMappings",
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
    "xray:GetSamplingRules",
    "xray:GetSamplingTargets",
    "xray:PutTelemetryRecords",
    "xray:PutTraceSegments",
}
"""Actions that take no resource, or that AWS's own guide allows on `*`: network interfaces and tags of SageMaker, log
delivery, composite alarms.

https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html"""


def check(stacks: Sequence[Stack]) -> Iterator[Finding]:
    """A finding for each Allow statement that is too open."""
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
