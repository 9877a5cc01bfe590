"""Why a step or a run failed, read from the causes that AWS's services give."""

from __future__ import annotations

import json
from typing import Any


def reason_of(cause: str) -> str:
    """The reason in a cause: a function's error with its type, a job's FailureReason, else the cause itself.

    Example: `{"TrainingJobName": …, "FailureReason": "SnapshotError: no rows"}` is `SnapshotError: no rows`,
    `{"errorMessage": "expected a number", "errorType": "SettingsError"}` is `SettingsError: expected a number`."""
    try:
        document: Any = json.loads(cause)
    except ValueError:
        return cause
    if isinstance(document, dict) and "FailureReason" in document:
        return str(document["FailureReason"])
    if isinstance(document, dict) and "errorMessage" in document:
        return ": ".join(str(document[name]) for name in ("errorType", "errorMessage") if document.get(name))
    return cause
