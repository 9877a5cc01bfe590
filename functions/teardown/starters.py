"""What could start something anew: rules, schedules, and queues whose messages start machines.

The schedules of functions go off too: `sweep` may start a release by way of `cleanup`, labels of a workload that is
gone would be late each day, and `upkeep` would write to a table that is being unregistered."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from millrace.names import MACHINES, SCHEDULED_FUNCTIONS, STARTING_QUEUES, WorkloadNames

KEPT = ("Name", "ScheduleExpression", "FlexibleTimeWindow", "Target")
OPTIONAL = ("GroupName", "ScheduleExpressionTimezone", "KmsKeyArn", "Description", "StartDate", "EndDate")
"""An update replaces the whole schedule: what it does not name is gone."""


def disable(client: Callable[[str], Any], names: WorkloadNames) -> list[str]:
    """What was still on; it is off now. Decisions are still written, and executions that end are still cleaned up."""
    machines = [names.machine_arn(machine) for machine in MACHINES]
    functions = [names.function_arn(function) for function in SCHEDULED_FUNCTIONS]
    queues = [names.queue_arn(queue) for queue in STARTING_QUEUES]
    return [
        *_rules(client("events"), [*machines, *queues], ("default", names.platform.bus)),
        *_schedules(client("scheduler"), [*machines, *functions], f"{names.prefix}-"),
        *(found for queue in queues for found in _mappings(client("lambda"), queue)),
    ]


def _rules(events: Any, targets: list[str], buses: tuple[str, ...]) -> Iterator[str]:
    """Found by what they start: by a prefix of their names, another workload's might be meant."""
    pages = events.get_paginator("list_rule_names_by_target")
    for bus in buses:
        for target in targets:
            listed = pages.paginate(TargetArn=target, EventBusName=bus)
            for rule in [name for page in listed for name in page["RuleNames"]]:
                if events.describe_rule(Name=rule, EventBusName=bus)["State"] == "ENABLED":
                    events.disable_rule(Name=rule, EventBusName=bus)
                    yield f"rule {rule}"


def _schedules(scheduler: Any, targets: list[str], prefix: str) -> Iterator[str]:
    pages = scheduler.get_paginator("list_schedules").paginate(NamePrefix=prefix, State="ENABLED")
    for one in [summary for page in pages for summary in page["Schedules"]]:
        if one["Target"]["Arn"] in targets:
            whole = scheduler.get_schedule(Name=one["Name"], GroupName=one["GroupName"])
            given = {name: whole[name] for name in OPTIONAL if name in whole}
            scheduler.update_schedule(State="DISABLED", **{name: whole[name] for name in KEPT}, **given)
            yield f"schedule {one['Name']}"


def _mappings(functions: Any, queue_arn: str) -> Iterator[str]:
    pages = functions.get_paginator("list_event_source_mappings").paginate(EventSourceArn=queue_arn)
    for one in [mapping for page in pages for mapping in page["EventSourceMappings"]]:
        if one["State"] == "Enabled":
            functions.update_event_source_mapping(UUID=one["UUID"], Enabled=False)
        if one["State"] != "Disabled":
            yield f"event source mapping {one['UUID']}"
