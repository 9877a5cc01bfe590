"""Remove workloads from a stage: what their machines made, then their stacks. The others and the platform stay."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from botocore.exceptions import WaiterError

from millrace.aws.workload_stacks import deployed_workloads
from millrace.console.actions.teardown import ITEMS, POLL_S, STORED, Left, run_machines, teardown_machines, unprotect
from millrace.console.environment import Environment
from millrace.errors import EnvironmentNotFoundError, RunError
from millrace.names import ROOMS, WorkloadNames

BUCKETS = ("landing", "lake", "artefacts")
"""The buckets that have a folder for each workload, by purpose."""
DELETION_S = 3600
"""The longest that stacks are waited for, in seconds. A function in a network takes half an hour to go."""


def find_removable(environment: Environment, workloads: Sequence[str]) -> list[WorkloadNames]:
    """The names of these workloads, which may have no folder any more.

    Raises EnvironmentNotFoundError if one of them has no stack in the stage."""
    deployed = deployed_workloads(environment.client("cloudformation"), environment.platform)
    for workload in workloads:
        if workload not in deployed:
            raise EnvironmentNotFoundError(
                f"--workload: expected one of {deployed} (deployed at stage {environment.platform.stage}), "
                f"got {workload!r}"
            )
    return [WorkloadNames(platform=environment.platform, workload=one) for one in dict.fromkeys(workloads)]


def remove(
    environment: Environment,
    workloads: Sequence[WorkloadNames],
    *,
    said: Callable[[str], None],
    poll_s: float = POLL_S,
) -> None:
    """Run the teardown machines of these workloads, then delete their stacks; returns when both are done.

    `said(line)` reports each resource, and in the end what is kept. A removal may be repeated at any time.
    Raises RunError if a machine fails or a stack is not deleted."""
    deployed = teardown_machines(environment)
    for names in workloads:
        if names.machine_arn("teardown") not in deployed:
            said(f"{names.machine('teardown')} is not deployed: only the stacks of {names.workload} are deleted")
    wanted = [names.machine_arn("teardown") for names in workloads]
    run_machines(environment, [arn for arn in wanted if arn in deployed], said=said, poll_s=poll_s)
    # The machine `teardown` goes last: if another stack cannot be deleted, it is there to be run again.
    for rooms in (ROOMS[:-1], ROOMS[-1:]):
        _delete(environment, [names.stack(room) for names in workloads for room in rooms], said, poll_s)
    for one in [left for names in workloads for left in _left(environment, names)]:
        said(f"left: {one.what}; {one.costs}")


def _delete(environment: Environment, stacks: Sequence[str], said: Callable[[str], None], poll_s: float) -> None:
    """Delete the stacks side by side, and wait until they are gone. One that does not exist counts as deleted.

    `cdk destroy` would not do: it knows no stack of a workload whose folder is gone."""
    unprotect(environment, lambda name: name in stacks)
    cloudformation = environment.client("cloudformation")
    for stack in stacks:
        cloudformation.delete_stack(StackName=stack)
    waiter = cloudformation.get_waiter("stack_delete_complete")
    for stack in stacks:
        try:
            waiter.wait(StackName=stack, WaiterConfig={"Delay": poll_s, "MaxAttempts": int(DELETION_S / poll_s)})
        except WaiterError as error:
            why = _why(cloudformation, stack) or str(error)
            raise RunError(f"{stack}: expected it to be deleted, got {why}; run it again to go on") from error
        said(f"{stack}: deleted")


def _why(cloudformation: Any, stack: str) -> str:
    """The newest resource that could not be deleted, and the reason; empty if there is none."""
    for event in cloudformation.describe_stack_events(StackName=stack)["StackEvents"]:
        # The stack's own event only lists the resources.
        if event["ResourceStatus"] == "DELETE_FAILED" and event["LogicalResourceId"] != stack:
            return f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason', 'no reason given')}"
    return ""


def _left(environment: Environment, names: WorkloadNames) -> Iterator[Left]:
    """What outlives the stacks of the workload: its folders in the buckets, and its items in both tables."""
    s3 = environment.client("s3")
    for bucket in [names.platform.bucket(purpose) for purpose in BUCKETS]:
        if s3.list_object_versions(Bucket=bucket, Prefix=f"{names.workload}/", MaxKeys=1).get("Versions"):
            yield Left(what=f"s3://{bucket}/{names.workload}/", costs=STORED)
    tables = f"{names.platform.state_table} and {names.platform.audit_table}"
    yield Left(what=f"items of {names.workload} in the tables {tables}", costs=ITEMS)
