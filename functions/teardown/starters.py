"""The step `starters` of a teardown: switches off rules, schedules, and queues whose messages start machines.

The schedules of functions are switched off too. `sweep` may start a release by way of `cleanup`, `lateness` would
report late labels each day, and `upkeep` would write to a table that is being unregistered."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from millrace.names import MACHINES, STARTING_QUEUES, WorkloadNames

KEPT = ("Name", "ScheduleExpression", "FlexibleTimeWindow", "Target")
OPTIONAL = ("GroupName", "ScheduleExpressionTimezone", "KmsKeyArn", "Description", "StartDate", "EndDate")
"""The keys of a schedule that an update must repeat: KEPT always, OPTIONAL if they are set.

An update replaces the whole schedule, so a key that it does not name is lost."""


def disable(client: Callable[[str], Any], names: WorkloadNames) -> list[str]:
    """Switch all of them off. Returns those that were still on.

    Decisions are still written, and executions that end are still cleaned up."""
    machines = [names.machine_arn(machine) for machine in MACHINES]
    queues = [names.queue_arn(queue) for queue in STARTING_QUEUES]
    # Rules on AWS's events are on the account's default bus, rules on our own events on the stage's bus.
    return [
        *_rules(client("events"), [*machines, *queues], ("default", names.platform.bus)),
        *_schedules(client("scheduler"), names),
        *(found for queue in queues for found in _mappings(client("lambda"), queue)),
    ]


def _rules(events: Any, targets: list[str], buses: tuple[str, ...]) -> Iterator[str]:
    """Disable the rules that start our machines. They are found by their target, since names may share a prefix."""
    pages = events.get_paginator("list_rule_names_by_target")
    for bus in buses:
        for target in targets:
            listed = pages.paginate(TargetArn=target, EventBusName=bus)
            for rule in [name for page in listed for name in page["RuleNames"]]:
                if events.describe_rule(Name=rule, EventBusName=bus)["State"] == "ENABLED":
                    events.disable_rule(Name=rule, EventBusName=bus)
                    yield f"rule {rule}"


def _schedules(scheduler: Any, names: WorkloadNames) -> Iterator[str]:
    """Disable the schedules that start our machines or call our functions. Another workload's have a dash more."""
    machines = [names.machine_arn(machine) for machine in MACHINES]
    pages = scheduler.get_paginator("list_schedules").paginate(NamePrefix=f"{names.prefix}-", State="ENABLED")
    for one in [summary for page in pages for summary in page["Schedules"]]:
        target = one["Target"]["Arn"]
        if target in machines or target == names.function_arn(target.rpartition("-")[2]):
            # A list has summaries only, and an update must repeat the whole schedule.
            whole = scheduler.get_schedule(Name=one["Name"], GroupName=one["GroupName"])
            given = {name: whole[name] for name in OPTIONAL if name in whole}
            scheduler.update_schedule(State="DISABLED", **{name: whole[name] for name in KEPT}, **given)
            yield f"schedule {one['Name']}"


def _mappings(functions: Any, queue_arn: str) -> Iterator[str]:
    """Disable the event source mappings by which Lambda reads the queue. A mapping takes some time to be disabled."""
    pages = functions.get_paginator("list_event_source_mappings").paginate(EventSourceArn=queue_arn)
    for one in [mapping for page in pages for mapping in page["EventSourceMappings"]]:
        if one["State"] == "Enabled":
            functions.update_event_source_mapping(UUID=one["UUID"], Enabled=False)
        # "Disabling" counts as found, so that the machine looks again.
        if one["State"] != "Disabled":
            yield f"event source mapping {one['UUID']}"
