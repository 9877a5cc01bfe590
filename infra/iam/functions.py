"""Rights on the functions of a workload."""

from __future__ import annotations

from millrace.infra.iam.resource import Statement, resource
from millrace.names import Platform


def invoke(*arns: str) -> Statement:
    """Call the functions."""
    return resource("lambda", *arns).may("InvokeFunction")


def move_aliases(platform: Platform) -> Statement:
    """Move the requests of each prediction function's alias to another version.

    https://docs.aws.amazon.com/aws-managed-policy/latest/reference/AWSCodeDeployRoleForLambdaLimited.html"""
    functions = (platform.arn("lambda", f"function:{platform.prefix}-*-prediction{part}") for part in ("", ":*"))
    because = "An alias of the prediction function of any workload"
    return resource("lambda", *functions, because=because).may(
        "GetAlias", "GetProvisionedConcurrencyConfig", "UpdateAlias"
    )
