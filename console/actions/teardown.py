"""Tear down an environment, or workloads of it: what machines made, then the stacks. Then list what still costs."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import WaiterError

from millrace.aws.deletion import is_absent
from millrace.aws.errors import has_code, passed_over
from millrace.aws.workload_stacks import deployed_workloads
from millrace.console.environment import Environment
from millrace.console.local_cloud.lifecycle import find_cdk
from millrace.console.queries.versions import audit_of
from millrace.errors import EnvironmentNotFoundError, RunError
from millrace.messages.audit import ResourcesRemoved
from millrace.names import JOB_LOGS, ROOMS, Platform, WorkloadNames

MACHINE = "-teardown"
"""How the name of a teardown machine ends."""
STORED, ITEMS = "0.023 USD a GB and month, older versions included", "0.25 USD a GB and month"
"""What objects of S3 cost, and items of DynamoDB."""
BUCKETS = ("landing", "lake", "artefacts", "audit", "access-logs")
"""The buckets that outlive the stacks, by purpose."""
POLL_S = 10.0


@dataclass(frozen=True, kw_only=True)
class Left:
    """A resource that outlives the stacks."""

    what: str
    costs: str
    """The list price in words, us-east-1, 2026-11-20."""


def teardown(
    environment: Environment, *, said: Callable[[str], None], destroys: bool = False, poll_s: float = POLL_S
) -> None:
    """Delete every resource that CloudFormation does not manage; returns when that is done. `said(line)` reports each
    one.

    Then the stacks can be destroyed: with `destroys` they are, else the command for it is reported. A teardown may be
    repeated at any time.
    Raises RunError if a machine or `cdk` fails, and at once if `destroys` is set and there is no `cdk`."""
    # A missing `cdk` must show before anything is deleted.
    program = find_cdk() if destroys else None
    machines = teardown_machines(environment)
    if not machines:
        said(f"{environment.platform.prefix}: no teardown machine is deployed: its stacks do not exist")
    run_machines(environment, machines, said=said, poll_s=poll_s)
    _destroy(environment, program, said)
    for one in left(environment):
        said(f"left: {one.what}; {one.costs}")


def teardown_machines(environment: Environment) -> list[str]:
    """The ARNs of the teardown machines of all deployed workloads, sorted by name."""
    listed = environment.listed("stepfunctions", "list_state_machines", "stateMachines")
    arns, ours = sorted(one["stateMachineArn"] for one in listed), f":{environment.platform.prefix}-"
    return [arn for arn in arns if ours in arn and arn.endswith(MACHINE)]


def run_machines(
    environment: Environment, machines: Sequence[str], *, said: Callable[[str], None], poll_s: float
) -> None:
    """Run these teardown machines side by side to their ends. `said(line)` reports each resource that they deleted.

    Raises RunError if a machine fails."""
    states = environment.client("stepfunctions")
    # All machines are started first, so that they run side by side.
    begun = {arn: _begin(states, arn) for arn in machines}
    for machine, execution in begun.items():
        said(f"{machine.rsplit(':', 1)[1]} runs: {execution}")
    for execution in begun.values():
        _wait(states, execution, poll_s)
        for line in _removed(environment, execution):
            said(line)


def destroy_command(platform: Platform) -> list[str]:
    """The command that deletes the stacks. Their templates retain the data, the audit and the customer key."""
    values = {"stage": platform.stage, "account": platform.account, "region": platform.region}
    return ["cdk", "destroy", "--all", "--force", *(word for key in values for word in ("-c", f"{key}={values[key]}"))]


def left(environment: Environment) -> list[Left]:
    """Resources of the environment that still exist and cost something, as each service lists them."""
    return [one for look in (_buckets, _tables, _key, _signing_key, _job_logs) for one in look(environment)]


def _begin(states: Any, machine: str) -> str:
    """The ARN of the teardown that runs already, else of a new one: two at once would do everything twice."""
    running = states.list_executions(stateMachineArn=machine, statusFilter="RUNNING")["executions"]
    if running:
        return str(running[0]["executionArn"])
    confirmed = json.dumps({"confirm": machine.rpartition(":")[2].removesuffix(MACHINE)})
    return str(states.start_execution(stateMachineArn=machine, input=confirmed)["executionArn"])


def _wait(states: Any, execution_arn: str, poll_s: float) -> None:
    """Wait for the end of the execution; raises RunError unless it succeeded."""
    while (described := states.describe_execution(executionArn=execution_arn))["status"] == "RUNNING":
        time.sleep(poll_s)
    if described["status"] != "SUCCEEDED":
        why = f"{described.get('error', '')} {described.get('cause', '')}".strip()
        raise RunError(f"{execution_arn}: expected SUCCEEDED, got {described['status']}: {why}; run it again to go on")


def _removed(environment: Environment, execution_arn: str) -> Iterator[str]:
    """A line for each resource that the execution deleted, from its records in the audit table."""
    machine = execution_arn.split(":")[6]
    workload = machine.removeprefix(f"{environment.platform.prefix}-").removesuffix(MACHINE).replace("-", "_")
    for record in audit_of(environment, WorkloadNames(platform=environment.platform, workload=workload)):
        if record.execution_arn == execution_arn and isinstance(record.details, ResourcesRemoved):
            yield from (f"{workload}: {found}" for found in record.details.found)


def unprotect(environment: Environment, is_ours: Callable[[str], bool]) -> None:
    """Take the termination protection from those stacks that have it, in a stage like `prod`."""
    cloudformation = environment.client("cloudformation")
    for stack in list(environment.listed("cloudformation", "describe_stacks", "Stacks")):
        if stack.get("EnableTerminationProtection") and is_ours(stack["StackName"]):
            cloudformation.update_termination_protection(
                StackName=stack["StackName"], EnableTerminationProtection=False
            )


def _destroy(environment: Environment, program: str | None, said: Callable[[str], None]) -> None:
    """Run the command that deletes the stacks; without a program, report the command."""
    command = destroy_command(environment.platform)
    if program is None:
        said(f"to destroy the stacks: {shlex.join(command)}")
        return
    said(shlex.join(command))
    unprotect(environment, lambda name: name.startswith(f"{environment.platform.prefix}-"))
    # `cdk` starts the app as `python`. The folder of this interpreter comes first on the PATH, so that it finds this
    # one.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run([program, *command[1:]], env={**os.environ, "PATH": path}, check=False)
    if done.returncode != 0:
        raise RunError(f"{shlex.join(command)}: expected exit status 0, got {done.returncode}")


def _is_there(call: Callable[..., Any], **named: Any) -> dict[str, Any] | None:
    """The answer; None when the resource does not exist."""
    is_missing = has_code("404", "NotFoundException")
    with passed_over(lambda error: is_absent(error) or is_missing(error)):
        answer: dict[str, Any] = call(**named)
        return answer
    return None


def _buckets(environment: Environment) -> Iterator[Left]:
    s3 = environment.client("s3")
    for purpose in BUCKETS:
        name = environment.platform.bucket(purpose)
        if _is_there(s3.head_bucket, Bucket=name) is not None:
            yield Left(what=f"bucket {name}", costs=STORED)


def _tables(environment: Environment) -> Iterator[Left]:
    dynamodb = environment.client("dynamodb")
    for name in (environment.platform.state_table, environment.platform.audit_table):
        found = _is_there(dynamodb.describe_table, TableName=name)
        if found is not None:
            size = found["Table"].get("TableSizeBytes", 0)
            costs = f"{size / 1e6:.1f} MB at {ITEMS}, 0.20 more for point-in-time recovery"
            yield Left(what=f"table {name}", costs=costs)


def _key(environment: Environment) -> Iterator[Left]:
    """The customer key. The lake's bucket names it, even after the key's alias has gone with its stack."""
    s3, name = environment.client("s3"), environment.platform.bucket("lake")
    if _is_there(s3.head_bucket, Bucket=name) is None:
        return
    rules = s3.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]["Rules"]
    key = rules[0]["ApplyServerSideEncryptionByDefault"].get("KMSMasterKeyID")
    if key and key in {group.get("kmsKeyId") for group in _groups_of_jobs(environment)}:
        yield Left(what="customer key of the stage", costs="1 USD a month; job logs of the whole account need it")
    elif key:
        yield Left(what=f"customer key {key}", costs="1 USD a month, and 1 more for each of its first two rotations")


def _signing_key(environment: Environment) -> Iterator[Left]:
    """The signing key, by its alias: that is retained together with the key."""
    found = _is_there(environment.client("kms").describe_key, KeyId=environment.platform.signing_key_alias)
    if found is not None:
        yield Left(what=f"signing key {found['KeyMetadata']['Arn']}", costs="1 USD a month")


def _job_logs(environment: Environment) -> Iterator[Left]:
    """The log groups of SageMaker's jobs. A teardown keeps them, since all jobs of the account write into them."""
    for group in _groups_of_jobs(environment):
        size = group.get("storedBytes", 0)
        costs = f"{size / 1e6:.1f} MB at 0.03 USD a GB and month, shared with the account's other jobs"
        yield Left(what=f"log group {group['logGroupName']}", costs=costs)


def _groups_of_jobs(environment: Environment) -> list[dict[str, Any]]:
    listed = environment.listed("logs", "describe_log_groups", "logGroups", logGroupNamePrefix="/aws/sagemaker/")
    return [one for one in listed if one["logGroupName"] in JOB_LOGS]


EMPTIED = ("landing", "lake", "artefacts")
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
    for bucket in [names.platform.bucket(purpose) for purpose in EMPTIED]:
        if s3.list_object_versions(Bucket=bucket, Prefix=f"{names.workload}/", MaxKeys=1).get("Versions"):
            yield Left(what=f"s3://{bucket}/{names.workload}/", costs=STORED)
    tables = f"{names.platform.state_table} and {names.platform.audit_table}"
    yield Left(what=f"items of {names.workload} in the tables {tables}", costs=ITEMS)
