"""Rights on the functions of a workload."""

from __future__ import annotations

from infra.iam.resource import Statement, resource
from millrace.names import WorkloadNames


def invoke(names: WorkloadNames, *functions: str) -> Statement:
    """Call the functions."""
    return resource("lambda", *(names.function_arn(function) for function in functions)).may("InvokeFunction")
