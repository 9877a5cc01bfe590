"""How a task ends: wait for an event, write the result as JSON, build the failure."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from moto.stepfunctions.parser.api import HistoryEventType
from moto.stepfunctions.parser.asl.component.common.error_name.error_name import ErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import FailureEvent

_POLL_S = 0.05
"""How often a task that waits looks whether its execution still runs; nothing sets its event when it is stopped."""


def waited(env: Any, event: threading.Event) -> bool:
    """True when `event` was set, False when the task was stopped, timed out or aborted before."""
    while env.is_running():
        if event.wait(_POLL_S):
            return True
    return False


def failure(task: Any, env: Any, error: str, cause: str) -> FailureEvent:
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
    """`value` as JSON: times in ISO 8601 and bodies as text, as the aws-sdk integrations give them."""
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
    """`value` with every key beginning with a capital, as Step Functions shows its own API."""
    if isinstance(value, Mapping):
        return {key[:1].upper() + key[1:]: pascal(item) for key, item in value.items()}
    return [pascal(item) for item in value] if isinstance(value, list) else value
