"""One call of an AWS API, or the start of another machine, as a state of a machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from millrace.infra.machines import states
from millrace.infra.machines.states import State
from millrace.release.askers import STARTED_BY

START_ERRORS = ("StepFunctions.ExecutionLimitExceeded", "StepFunctions.ExecutionLimitExceededException",
                "StepFunctions.AWSStepFunctionsException")  # fmt: skip
"""Errors of the start itself: too many executions, or one that the API's model does not name, such as throttling.

An execution that is waited for and failed is States.TaskFailed, and is not started again.
https://docs.aws.amazon.com/step-functions/latest/dg/connect-stepfunctions.html"""


def start_execution(
    machine_arn: str, comment: str, given: Mapping[str, Any], *, result: str, next_state: str, waits: bool
) -> State:
    """The task that starts an execution with the input `given`, and waits for its end if it `waits`."""
    return {
        "Type": "Task",
        "Comment": comment,
        "Resource": states.integration("states:startExecution" + (".sync:2" if waits else "")),
        "Parameters": {
            "StateMachineArn": machine_arn,
            "Name.$": states.NAME,
            # Step Functions links the two executions by this key.
            "Input": {**given, f"{STARTED_BY}.$": "$$.Execution.Id"},
        },
        "ResultSelector": {"execution.$": "$.ExecutionArn"},
        "ResultPath": f"$.{result}",
        "Retry": [states.retry(*START_ERRORS)],
        "Next": next_state,
    }


def call(
    action: str,
    comment: str,
    parameters: Mapping[str, Any],
    *,
    next_state: str,
    result: str | None = None,
    selected: Mapping[str, str] | None = None,
) -> State:
    """The task `aws-sdk:<action>`. The fields that `selected` takes of the answer are then at `$.<result>`."""
    return {
        "Type": "Task",
        "Comment": comment,
        "Resource": states.integration(f"aws-sdk:{action}"),
        "Parameters": dict(parameters),
        **({"ResultSelector": dict(selected)} if selected else {}),
        "ResultPath": f"$.{result or 'called'}",  # never null: CDK would drop it, and the answer the state
        "Retry": [states.retry("States.TaskFailed", interval_s=5, attempts=3)],
        "Next": next_state,
    }
