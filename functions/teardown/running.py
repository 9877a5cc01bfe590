"""What runs: executions of the machines, jobs that outlived theirs, and those that a person started."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from botocore import xform_name

from millrace.aws.released_models import ReleasedModels
from millrace.messages.teardown import TEARDOWN_ERROR
from millrace.names import JOB_ROLES, MACHINES, WORKLOAD_TAG, WorkloadNames

GOING = ("InProgress", "Stopping")


def stop(client: Callable[[str], Any], names: WorkloadNames) -> list[str]:
    """The jobs and executions that still ran; each was requested to stop."""
    sagemaker = client("sagemaker")
    models = ReleasedModels(sagemaker=sagemaker, names=names)
    # A job's name is a digest: whose it is, its tag and its role say; another stage has the same tags.
    roles = {names.role_arn(role) for role in JOB_ROLES}
    return [
        *_executions(client("stepfunctions"), names),
        # Before its trainings: in place of each that ends it starts another one.
        *_jobs(
            sagemaker,
            names.workload,
            "HyperParameterTuning",
            lambda job: job["TrainingJobDefinition"]["RoleArn"] in roles,
        ),
        *_jobs(sagemaker, names.workload, "Training", lambda job: job["RoleArn"] in roles),
        *_jobs(sagemaker, names.workload, "Processing", lambda job: job.get("RoleArn") in roles),
        *_jobs(sagemaker, names.workload, "Transform", lambda job: models.is_ours(job["ModelName"])),
    ]


def _executions(states: Any, names: WorkloadNames) -> Iterator[str]:
    pages = states.get_paginator("list_executions")
    for machine in MACHINES:
        try:
            listed = list(pages.paginate(stateMachineArn=names.machine_arn(machine), statusFilter="RUNNING"))
        except states.exceptions.StateMachineDoesNotExist:
            continue
        for execution in [one for page in listed for one in page["executions"]]:
            states.stop_execution(executionArn=execution["executionArn"], error=TEARDOWN_ERROR, cause="torn down")
            yield f"execution {execution['executionArn']}"


def _jobs(sagemaker: Any, workload: str, kind: str, is_ours: Callable[[Any], bool]) -> Iterator[str]:
    """`kind` as in the names of SageMaker's calls; jobs without the workload's tag may not even be looked at."""
    verb, name = f"{xform_name(kind)}_job", f"{kind}JobName"
    pages, tag = sagemaker.get_paginator(f"list_{verb}s"), {"Key": WORKLOAD_TAG, "Value": workload}
    for status in GOING:
        listed = pages.paginate(StatusEquals=status)
        for job in [one for page in listed for one in page[f"{kind}JobSummaries"]]:
            if tag not in sagemaker.list_tags(ResourceArn=job[f"{kind}JobArn"])["Tags"]:
                continue
            named = {name: job[name]}
            if is_ours(getattr(sagemaker, f"describe_{verb}")(**named)):
                if status == "InProgress":
                    getattr(sagemaker, f"stop_{verb}")(**named)
                yield f"{xform_name(kind, ' ')} job {job[name]}"
