"""Why a step or a run failed, read from the causes that AWS's services give."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from millrace import errors

SILENT = re.compile(r"^AlgorithmError: ,? ?exit code: (?P<code>\d+)$")
"""The reason that SageMaker gives for a container that ended without a message of its own."""
ENDINGS = {
    "137": "the container was killed: out of memory, or ended by the platform",
    "143": "the container was stopped by the platform",
}
"""What an exit code of 128 + the number of a signal means."""
NAMED = re.compile(r"^(?:States\.TaskFailed: )?(?:AlgorithmError: )?(?P<type>[A-Z]\w*(?:Error|Exception))\b")
"""The error's class at the beginning of a reason, as our functions and jobs write it.

If a child run waited for the job, the child's own error `States.TaskFailed` comes first."""
UNEXPECTED = "an unexpected error in "
"""How the reason of an exception begins that is none of ours: a defect, whose class says nothing to who reads it."""
DEFECT = re.compile(r"^AlgorithmError: (?P<type>[A-Z]\w+): (?P<message>.*), exit code: 1$", re.DOTALL)
"""The reason of a job that an exception of Python ended, as `millrace.jobs.runtime` writes it."""
FUNCTION = re.compile(r"\bfunctions/(\w+)/")
"""The name of a function of ours in a traceback."""


def reason_of(cause: str) -> str:
    """The reason in a cause: a function's error with its class, a job's FailureReason, the reason of a query or of a
    child run; else the cause itself.

    `{"TrainingJobName": …, "FailureReason": "SnapshotError: no rows"}` gives `SnapshotError: no rows`, and
    `{"errorMessage": "expected a number", "errorType": "SettingsError"}` gives `SettingsError: expected a number`. An
    exception that is none of ours is UNEXPECTED: `an unexpected error in gating: division by zero; the log: …`."""
    document = _document(cause)
    if document is None:
        return _ended(cause)
    if "FailureReason" in document:
        return _ended(str(document["FailureReason"]))
    if "errorMessage" in document:
        kind, frames = str(document.get("errorType", "")), FUNCTION.search(str(document.get("stackTrace")))
        if frames and not hasattr(errors, kind):
            return _unexpected(frames[1], kind, str(document["errorMessage"]), log=frames[1])
        return ": ".join(str(document[name]) for name in ("errorType", "errorMessage") if document.get(name))
    if "QueryExecution" in document:
        return str(document["QueryExecution"]["Status"].get("StateChangeReason", ""))
    # The child's own cause may be that of its child, and so on.
    if "ExecutionArn" in document and "Cause" in document:
        return failure_of(str(document.get("Error") or ""), str(document["Cause"]))
    return cause


def _document(cause: str) -> Mapping[str, Any] | None:
    """The cause as a JSON object; empty if it is another value of JSON, None if it is no JSON."""
    try:
        document: Any = json.loads(cause)
    except ValueError:
        return None
    return document if isinstance(document, dict) else {}


def _unexpected(where: str, kind: str, message: str, *, log: str) -> str:
    # A KeyError's message is the key alone, and some exceptions have none.
    is_told = " " in message
    what = message if is_told else f"{re.sub(r'(?<=[a-z])(?=[A-Z])', ' ', kind).lower()} {message}".strip()
    return f"{UNEXPECTED}{where}: {what}; the log: millrace logs {log}"


def _ended(reason: str) -> str:
    """What an exit code means if the job gave no reason itself: `AlgorithmError: , exit code: 137` is a kill."""
    defect = DEFECT.match(reason)
    if defect and not hasattr(errors, defect["type"]):
        return _unexpected("the job", defect["type"], defect["message"], log="RUN")
    found = SILENT.match(reason)
    if found is None:
        return reason
    code = found["code"]
    return f"{ENDINGS.get(code, 'the container ended without a message')} (exit code {code})"


def failure_of(error: str, cause: str) -> str:
    """Error and reason in one line, without repeating the error."""
    reason = reason_of(cause)
    return (
        reason if reason.startswith((f"{error}: ", UNEXPECTED)) else ": ".join(word for word in (error, reason) if word)
    )


def is_of_child(cause: str) -> bool:
    """Whether the cause is that of an execution that was started and waited for."""
    return "ExecutionArn" in (_document(cause) or {})


def is_of_function(cause: str) -> bool:
    """Whether the cause is an error that a function raised."""
    return "errorType" in (_document(cause) or {})


def error_type(error: str, cause: str) -> str:
    """The class of the error with which a function or job of ours ended, for example `SnapshotError`; else `error`."""
    found = NAMED.match(reason_of(cause))
    return found["type"] if found and found["type"] != "AlgorithmError" else error
