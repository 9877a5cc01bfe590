"""Helpers for the end of a task: wait for its event, write its result as JSON, build its failure."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from moto.stepfunctions.parser.api import HistoryEventType
from moto.stepfunctions.parser.asl.component.common.error_name.error_name import ErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import FailureEvent

_POLL_S = 0.05
"""Seconds between two looks of a waiting task whether its execution still runs: a stop does not set its event."""


def waited(env: Any, event: threading.Event) -> bool:
    """Wait for `event`. Returns False if the task was stopped or has timed out before the event was set."""
    while env.is_running():
        if event.wait(_POLL_S):
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
