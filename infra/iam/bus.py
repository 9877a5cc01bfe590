"""Rights on the event bus, on its rules, and on schedules."""

from __future__ import annotations

from millrace.infra.iam.resource import Resource, Statement, resource
from millrace.messages.events import SOURCE, BusEvent
from millrace.names import WorkloadNames


def put_events(names: WorkloadNames, *events: type[BusEvent]) -> Statement:
    """Put these events on the platform's bus, and no other: rules start machines by what an event says it is.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-conditions.html"""
    types = sorted(event.detail_type for event in events)
    only = {"StringEquals": {"events:source": SOURCE, "events:detail-type": types}}
    return resource("events", names.platform.bus_arn, where=only).may("PutEvents")


def rules(names: WorkloadNames) -> Resource:
    """The workload's rules on the platform's bus and on the account's default bus."""
    platform, ours = names.platform, f"{names.prefix}-*"
    arns = [platform.arn("events", f"rule/{path}") for path in (ours, f"{platform.bus}/{ours}")]
    return resource("events", *arns, because="Whatever rules the workload has")


def schedules(names: WorkloadNames) -> Resource:
    arn = names.platform.arn("scheduler", f"schedule/default/{names.prefix}-*")
    return resource("scheduler", arn, because="Whatever schedules the workload has")
