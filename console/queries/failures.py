"""Why a step or a run failed, read from the causes that AWS's services give."""

from __future__ import annotations

import json
import re
from typing import Any

SILENT = re.compile(r"^AlgorithmError: ,? ?exit code: (?P<code>\d+)$")
"""A container that ended without a word of its own."""
ENDINGS = {
    "137": "the container was killed: out of memory, or ended by the platform",
    "143": "the container was stopped by the platform",
}
"""By exit code: 128 + the signal."""
NAMED = re.compile(r"^(?:States\.TaskFailed: )?(?:AlgorithmError: )?(?P<type>[A-Z]\w*(?:Error|Exception))\b")
"""An error's class at the beginning of a reason, as functions and our jobs write it; of a job that a child run waited
for, the child's own error is before it."""


def reason_of(cause: str) -> str:
    """The reason in a cause: a function's error with its type, a job's FailureReason, a child run's own, else the
    cause itself.

    Example: `{"TrainingJobName": …, "FailureReason": "SnapshotError: no rows"}` is `SnapshotError: no rows`,
    `{"errorMessage": "expected a number", "errorType": "SettingsError"}` is `SettingsError: expected a number`."""
    try:
        document: Any = json.loads(cause)
    except ValueError:
        return _ended(cause)
    if isinstance(document, dict) and "FailureReason" in document:
        return _ended(str(document["FailureReason"]))
    if isinstance(document, dict) and "errorMessage" in document:
        return ": ".join(str(document[name]) for name in ("errorType", "errorMessage") if document.get(name))
    if isinstance(document, dict) and "ExecutionArn" in document and "Cause" in document:
        return failure_of(str(document.get("Error") or ""), str(document["Cause"]))
    return cause


def _ended(reason: str) -> str:
    """What an exit code means where the job said nothing: `AlgorithmError: , exit code: 137` is a killed container."""
    found = SILENT.match(reason)
    if found is None:
        return reason
    code = found["code"]
    return f"{ENDINGS.get(code, 'the container ended without a message')} (exit code {code})"


def failure_of(error: str, cause: str) -> str:
    """Error and reason in one line, the error once."""
    reason = reason_of(cause)
    return reason if reason.startswith(f"{error}: ") else ": ".join(word for word in (error, reason) if word)


def is_of_child(cause: str) -> bool:
    """Whether the cause is that of an execution that was started and waited for."""
    try:
        document: Any = json.loads(cause)
    except ValueError:
        return False
    return isinstance(document, dict) and "ExecutionArn" in document


def is_of_function(cause: str) -> bool:
    """Whether the cause is an error that a function has raised."""
    try:
        document: Any = json.loads(cause)
    except ValueError:
        return False
    return isinstance(document, dict) and "errorType" in document


def error_type(error: str, cause: str) -> str:
    """The class of the error that a function or a job of ours ended with, for example `SnapshotError`; else `error`."""
    found = NAMED.match(reason_of(cause))
    return found["type"] if found and found["type"] != "AlgorithmError" else error
