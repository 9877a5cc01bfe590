"""Keeps AWS's limit of 256 KiB for a state's input and output, and for a task's parameters and result.

moto measures the JSON with spaces, refuses a value of exactly the limit, and never measures parameters.
https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html"""

from __future__ import annotations

import json
from typing import Any

from moto.stepfunctions.parser.api import HistoryEventType
from moto.stepfunctions.parser.asl.component.common.error_name.error_name import ErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import (
    FailureEvent,
    FailureEventException,
)
from moto.stepfunctions.parser.asl.component.state import state as states
from moto.stepfunctions.parser.asl.component.state.exec.state_task import state_task_lambda
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import state_task_service

from localcloud.kernel.patching import replace
from localcloud.kernel.quotas import quota
from localcloud.stepfunctions.error_names import TOO_LARGE

LIMIT_BYTES = quota("states", "data")


def is_within_limit(value: Any) -> bool:
    """Whether the value, as JSON without spaces in UTF-8, has at most LIMIT_BYTES."""
    return len(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()) <= LIMIT_BYTES


def limit_payloads() -> None:
    # Each of these modules has imported the function under its own name. May go when moto measures as AWS does.
    for module in (states, state_task_lambda, state_task_service):
        replace(module, is_within_size_quota=is_within_limit)
    kind: Any = state_task_service.StateTaskService
    # moto calls this with the parameters before it makes the call.
    begin = kind._before_eval_execution

    def begin_within_limit(self: Any, env: Any, **given: Any) -> None:
        if not is_within_limit(given["raw_parameters"]):
            raise FailureEventException(_too_large(self, env))
        begin(self, env, **given)

    replace(kind, _before_eval_execution=begin_within_limit)


def _too_large(task: Any, env: Any) -> FailureEvent:
    """The failure of a task with parameters that are too large, in the words that AWS has for results."""
    cause = (
        f"The state/task '{task.name}' has parameters of a size exceeding the maximum number of bytes service limit."
    )
    details: Any = {"taskFailedEventDetails": {"error": TOO_LARGE, "cause": cause}}
    return FailureEvent(
        env=env,
        error_name=ErrorName(error_name=TOO_LARGE),
        event_type=HistoryEventType.TaskFailed,
        event_details=details,
    )
