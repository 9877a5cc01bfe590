"""What runs: executions of the machines, jobs that outlived theirs, and those that a person started."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from botocore import xform_name

from millrace.messages.teardown import TEARDOWN_ERROR
from millrace.names import DEPLOYMENT_TAG, MACHINES, WorkloadNames

GOING = ("InProgress", "Stopping")
# Searches before their trainings: in place of each that ends a search starts another one.
JOBS = ("HyperParameterTuning", "Training", "Processing", "Transform")
"""Of jobs, as in the names of SageMaker's calls."""


def stop(client: Callable[[str], Any], names: WorkloadNames) -> list[str]:
    """The jobs and executions that still ran; each was requested to stop."""
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
    """A job's name is a digest: whose it is, its tag says."""
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
