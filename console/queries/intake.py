"""Whether the drops of a workload are taken: a teardown switches that off and leaves the stacks."""

from __future__ import annotations

from console.environment import Environment
from millrace.errors import RunError
from millrace.names import STARTING_QUEUES, WorkloadNames


def is_switched_off(environment: Environment, names: WorkloadNames) -> bool:
    """Whether nothing reads a queue whose messages start machines."""
    pages = environment.client("lambda").get_paginator("list_event_source_mappings")
    for queue in STARTING_QUEUES:
        found = pages.paginate(EventSourceArn=names.queue_arn(queue))
        states = [one["State"] for page in found for one in page["EventSourceMappings"]]
        # Without any mapping the workload is not deployed, which is another matter.
        if states and all(state in {"Disabling", "Disabled"} for state in states):
            return True
    return False


def switched_on_by(names: WorkloadNames) -> str:
    """The command that switches everything on again that the templates want on."""
    return f"cdk deploy --all --revert-drift -c stage={names.platform.stage} -c workloads={names.workload}"


def check_taken(environment: Environment, names: WorkloadNames) -> None:
    """Raise RunError if a drop would start nothing."""
    if is_switched_off(environment, names):
        raise RunError(
            f"{names.workload}: expected drops to be taken, but rules, schedules and the queue of drops are switched "
            f"off, by a teardown or by hand; the way back: {switched_on_by(names)}"
        )
