"""Helpers for the end of a task: wait for its event, write its result as JSON, build its failure."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError
from moto.core.utils import get_service_model
from moto.stepfunctions.parser.api import HistoryEventType
from moto.stepfunctions.parser.asl.component.common.error_name.error_name import ErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import FailureEvent, FailureEventException

from localcloud.sagemaker.api import in_milliseconds

POLL_S = 0.05
"""Seconds between two looks of a waiting task whether its execution still runs: a stop does not set its event."""


def waited(env: Any, event: threading.Event) -> bool:
    """Wait for `event`. Returns False if the task was stopped or has timed out before the event was set."""
    while env.is_running():
        if event.wait(POLL_S):
            return True
    return False


def failure(task: Any, env: Any, error: str, cause: str) -> FailureEvent:
    """The failure of a task with this error name and Cause, in moto's form. The history gets it as TaskFailed."""
    details: Any = {
        "taskFailedEventDetails": {
            "error": error,
            "cause": cause,
            "resource": task._get_sfn_resource(),
            "resourceType": task._get_sfn_resource_type(),
        }
    }
    return FailureEvent(
        env=env,
        error_name=ErrorName(error_name=error),
        event_type=HistoryEventType.TaskFailed,
        event_details=details,
    )


def operation_of(task: Any) -> str:
    """The operation that a task calls: `CreateModel` for the resource `createModel`."""
    action: str = task.resource.api_action
    return action[:1].upper() + action[1:]


def refused_as(task: Any, service: str, prefix: str, base: str) -> Callable[..., Any]:
    """Makes the failure of an exception: of a refused call as AWS names it, of any other as the class `task` does."""
    named = task._from_error

    def from_error(self: Any, env: Any, ex: Exception) -> Any:
        if not isinstance(ex, ClientError):
            return named(self, env, ex)
        code, answer = ex.response["Error"]["Code"], ex.response["ResponseMetadata"]
        operation = get_service_model(service).operation_model(operation_of(self))
        modelled = {shape.name for shape in operation.error_shapes}
        name = f"{code.removesuffix('Exception')}Exception" if code in modelled else base
        cause = (
            f"{ex.response['Error']['Message']} (Service: {base.removesuffix('Exception')}; "
            f"Status Code: {answer['HTTPStatusCode']}; Error Code: {code}; "
            f"Request ID: {answer.get('RequestId', '')}; Proxy: null)"
        )
        return failure(self, env, f"{prefix}.{name}", cause)

    return from_error


def result_of(task: Any, env: Any, result: dict[str, Any], is_well: bool) -> Any:
    """The result of a task that has waited, or what it fails with if that did not end well."""
    del result["ResponseMetadata"]
    told = in_milliseconds(result)
    if is_well:
        return told
    raise FailureEventException(failure(task, env, "States.TaskFailed", json.dumps(told)))


def as_text(value: Any) -> Any:
    """`value` as JSON can hold it, as the aws-sdk integrations give it: times in ISO 8601, bodies as text."""
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, Mapping):
        return {key: as_text(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_text(item) for item in value]
    if hasattr(value, "read"):
        value = value.read()
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def pascal(value: Any) -> Any:
    """`value` with a capital at the beginning of each key, as tasks show Step Functions' own API (`executionArn`)."""
    if isinstance(value, Mapping):
        return {key[:1].upper() + key[1:]: pascal(item) for key, item in value.items()}
    return [pascal(item) for item in value] if isinstance(value, list) else value
