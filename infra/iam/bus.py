"""Rights on the event bus, on its rules, and on schedules."""

from __future__ import annotations

from infra.iam.resource import Resource, Statement, resource
from millrace.names import WorkloadNames


def put_events(names: WorkloadNames) -> Statement:
    """Put events on the platform's bus."""
    return resource("events", names.platform.bus_arn).may("PutEvents")


def rules(names: WorkloadNames) -> Resource:
    """The workload's rules on the platform's bus and on the account's default bus."""
    platform, ours = names.platform, f"{names.prefix}-*"
    arns = [platform.arn("events", f"rule/{path}") for path in (ours, f"{platform.bus}/{ours}")]
    return resource("events", *arns, because="Whatever rules the workload has")


def schedules(names: WorkloadNames) -> Resource:
    arn = names.platform.arn("scheduler", f"schedule/default/{names.prefix}-*")
    return resource("scheduler", arn, because="Whatever schedules the workload has")
