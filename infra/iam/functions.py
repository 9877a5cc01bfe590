"""Rights on the functions of a workload."""

from __future__ import annotations

from infra.iam.resource import Statement, resource


def invoke(*arns: str) -> Statement:
    """Call the functions."""
    return resource("lambda", *arns).may("InvokeFunction")
