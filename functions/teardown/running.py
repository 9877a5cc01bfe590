"""The step `running` of a teardown: stops executions of the machines, and jobs.

A job may have outlived its execution, or a person may have started it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from botocore import xform_name

from millrace.messages.teardown import TEARDOWN_ERROR
from millrace.names import DEPLOYMENT_TAG, MACHINES, WorkloadNames

GOING = ("InProgress", "Stopping")
# Tuning jobs first: in place of a training that ends, a tuning job starts another one.
JOBS = ("HyperParameterTuning", "Training", "Processing", "Transform")
"""The kinds of jobs, as in the names of SageMaker's calls. GOING has the statuses of a job that has not ended."""


def stop(client: Callable[[str], Any], names: WorkloadNames) -> list[str]:
    """Request every execution and job to stop. Returns those that still ran."""
    sagemaker = client("sagemaker")
    stopped = [*_executions(client("stepfunctions"), names)]
    for kind in JOBS:
        stopped += _jobs(sagemaker, names.prefix, kind)
    return stopped


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


def _jobs(sagemaker: Any, deployment: str, kind: str) -> Iterator[str]:
    """Request every job of the kind to stop. Its name is a digest, so its tag says to which workload it belongs."""
    # boto3 has the calls `list_<verb>s` and `stop_<verb>`, for example `stop_hyper_parameter_tuning_job`.
    verb, name = f"{xform_name(kind)}_job", f"{kind}JobName"
    pages, tag = sagemaker.get_paginator(f"list_{verb}s"), {"Key": DEPLOYMENT_TAG, "Value": deployment}
    for status in GOING:
        listed = pages.paginate(StatusEquals=status)
        for job in [one for page in listed for one in page[f"{kind}JobSummaries"]]:
            if tag not in sagemaker.list_tags(ResourceArn=job[f"{kind}JobArn"])["Tags"]:
                continue
            if status == "InProgress":
                getattr(sagemaker, f"stop_{verb}")(**{name: job[name]})
            yield f"{xform_name(kind, ' ')} job {job[name]}"
