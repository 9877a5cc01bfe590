"""Rule: every task is tried again if its service fails or throttles, and nothing waits for a person for ever."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from millrace.infra.rules.assembly import Finding, Stack, Task, machines

WILDCARDS = {"States.TaskFailed", "States.ALL"}
THROTTLED = {
    "athena": "Athena.TooManyRequestsException",
    "lambda": "Lambda.TooManyRequestsException",
    "sagemaker": "SageMaker.AmazonSageMakerException",
    "states": "StepFunctions.AWSStepFunctionsException",
}
"""The error of a throttled call by Step Functions' own integration, by service. No SDK of ours tries such a call again.

https://docs.aws.amazon.com/step-functions/latest/dg/sfn-best-practices.html
https://github.com/aws/aws-step-functions-data-science-sdk-python/pull/162"""
SDK = re.compile(r"(\w+)\.(\1|Throttling)Exception")
"""The error of a throttled call by `aws-sdk:`: the one that the service models, or the service's base exception."""


def check(stacks: Sequence[Stack]) -> Iterator[Finding]:
    """A finding for each task without a Retry for throttling, and for each task token without a time limit."""
    for machine in machines(stacks):
        for task in machine.tasks():
            if not task.state.get("Retry"):
                yield Finding(where=task.where, expected="Retry", came=None)
            elif not _is_carried(task):
                is_sdk = ":aws-sdk:" in task.state["Resource"]
                error = "throttling" if is_sdk else THROTTLED.get(task.service, "throttling")
                yield Finding(
                    where=task.where, expected=f"Retry of {error} or of a wildcard", came=sorted(_retried(task.state))
                )
            waits = task.state["Resource"].endswith(".waitForTaskToken")
            if waits and not {"TimeoutSeconds", "TimeoutSecondsPath", "HeartbeatSeconds"} & task.state.keys():
                yield Finding(where=task.where, expected="TimeoutSeconds with waitForTaskToken", came=None)


def _is_carried(task: Task) -> bool:
    # The name of a throttling error depends on how the service is called.
    retried = _retried(task.state)
    if retried & WILDCARDS:
        return True
    if ":aws-sdk:" in task.state["Resource"]:
        return any(SDK.fullmatch(one) for one in retried)
    return THROTTLED.get(task.service) in retried


def _retried(state: Mapping[str, Any]) -> set[str]:
    """The errors of all retriers that try at least once more."""
    return {error for one in state["Retry"] if one.get("MaxAttempts", 3) for error in one["ErrorEquals"]}
