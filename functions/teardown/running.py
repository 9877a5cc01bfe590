"""What runs: executions of the machines, and jobs that outlived theirs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from functions.teardown.versions import Models
from millrace.names import MACHINES, WorkloadNames

JOB_ROLES = ("training-job", "evaluation-job", "drift-job")
"""A job's name is a digest: whose it is, its role says."""
GOING = ("InProgress", "Stopping")


def stop(client: Callable[[str], Any], names: WorkloadNames) -> list[str]:
    """What still ran; it was told to stop."""
    sagemaker = client("sagemaker")
    models = Models(sagemaker=sagemaker, names=names)
    roles = {names.role_arn(role) for role in JOB_ROLES}
    return [
        *_executions(client("stepfunctions"), names),
        *_jobs(sagemaker, "Training", lambda job: job["RoleArn"] in roles),
        *_jobs(sagemaker, "Processing", lambda job: job.get("RoleArn") in roles),
        *_jobs(sagemaker, "Transform", lambda job: models.is_ours(job["ModelName"])),
    ]


def _executions(states: Any, names: WorkloadNames) -> Iterator[str]:
    pages = states.get_paginator("list_executions")
    for machine in MACHINES:
        try:
            listed = list(pages.paginate(stateMachineArn=names.machine_arn(machine), statusFilter="RUNNING"))
        except states.exceptions.StateMachineDoesNotExist:
            continue
        for execution in [one for page in listed for one in page["executions"]]:
            states.stop_execution(executionArn=execution["executionArn"], error="Teardown", cause="torn down")
            yield f"execution {execution['executionArn']}"


def _jobs(sagemaker: Any, kind: str, is_ours: Callable[[Any], bool]) -> Iterator[str]:
    """`kind` is `Training`, `Processing` or `Transform`."""
    verb, name = f"{kind.lower()}_job", f"{kind}JobName"
    pages = sagemaker.get_paginator(f"list_{verb}s")
    for status in GOING:
        listed = pages.paginate(StatusEquals=status)
        for job in [one[name] for page in listed for one in page[f"{kind}JobSummaries"]]:
            if is_ours(getattr(sagemaker, f"describe_{verb}")(**{name: job})):
                if status == "InProgress":
                    getattr(sagemaker, f"stop_{verb}")(**{name: job})
                yield f"{kind.lower()} job {job}"
