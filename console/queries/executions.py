"""Executions with the typed answers of their steps, and why one failed, as AWS gives the cause."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import chain
from typing import Any, TypeVar

from botocore.exceptions import ClientError

from millrace import errors
from millrace.errors import EnvironmentNotFoundError
from millrace.messages.envelope import Message
from millrace.messages.ingest import Committed, CommittedDrops, Ingested, RejectedDrop
from millrace.messages.retrain import RetrainingRequest
from millrace.messages.score import Delivered, DeliveredDrops
from millrace.names import MACHINE_OF_FEED, WorkloadNames

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
    document = document_of(cause)
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


def document_of(text: str) -> Mapping[str, Any] | None:
    """The text as a JSON object; empty if it is another value of JSON, None if it is no JSON."""
    try:
        document: Any = json.loads(text)
    except ValueError:
        return None
    return document if isinstance(document, dict) else {}


def _unexpected(where: str, kind: str, message: str, *, log: str) -> str:
    # A KeyError's message is the key alone, and some exceptions have none.
    what = message if (" " in message) else f"{re.sub(r'(?<=[a-z])(?=[A-Z])', ' ', kind).lower()} {message}".strip()
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
    return "ExecutionArn" in (document_of(cause) or {})


def is_of_function(cause: str) -> bool:
    """Whether the cause is an error that a function raised."""
    return "errorType" in (document_of(cause) or {})


def error_type(error: str, cause: str) -> str:
    """The class of the error with which a function or job of ours ended, for example `SnapshotError`; else `error`."""
    found = NAMED.match(reason_of(cause))
    return found["type"] if found and found["type"] != "AlgorithmError" else error


@dataclass(frozen=True, kw_only=True)
class Execution:
    """One run of a state machine, with the answers of its states."""

    machine: str
    arn: str
    name: str
    status: str
    input: dict[str, Any]
    output: dict[str, Any]
    """Empty while the execution runs, and if it failed."""
    started: datetime
    stopped: datetime
    """The start if the execution still runs."""
    failure: str = ""
    """Error and cause if it failed, else empty."""

    @property
    def seconds(self) -> float:
        return (self.stopped - self.started).total_seconds()

    def answer(self, state: str) -> dict[str, Any]:
        """The answer of the function behind `$.<state>`; empty if that state was not entered."""
        return dict(self.output.get(state, {}).get("answer", {}))

    @property
    def is_good(self) -> bool:
        return self.status == "SUCCEEDED"


def list_executions(
    states: Any, names: WorkloadNames, machine: str, *, status: str = ""
) -> Iterator[dict[str, Any]] | None:
    """The executions as Step Functions lists them, newest first, page by page; None if there is no such machine."""
    parameters = {"stateMachineArn": names.machine_arn(machine), **({"statusFilter": status} if status else {})}
    pages = iter(states.get_paginator("list_executions").paginate(**parameters))
    try:
        # The first page is fetched here, so that a machine that does not exist shows now and not in the caller's loop.
        first: Any = next(pages, {"executions": []})
    except states.exceptions.StateMachineDoesNotExist:
        return None
    return (each for page in chain([first], pages) for each in page["executions"])


def not_deployed(names: WorkloadNames) -> EnvironmentNotFoundError:
    """The error for a workload without machines."""
    return EnvironmentNotFoundError(
        f"expected the machines of {names.prefix} in this account and region, got none: {names.workload} is not "
        f"deployed at stage {names.platform.stage}; `{_deploy(names)}` does that"
    )


def require_deployed(states: Any, names: WorkloadNames) -> None:
    """Raise EnvironmentNotFoundError if the workload has no machines. A caller who may not list them passes."""
    try:
        is_there = list_executions(states, names, "ingest") is not None
    except ClientError:
        return
    if not is_there:
        raise not_deployed(names)


def _deploy(names: WorkloadNames) -> str:
    if names.platform.stage == "local":
        return f"millrace up --workload {names.workload}"
    return f"cdk deploy --all -c stage={names.platform.stage} -c workloads={names.workload}"


def read_history(states: Any, arn: str) -> list[dict[str, Any]]:
    """The events of an execution's history, in order."""
    pages = states.get_paginator("get_execution_history").paginate(executionArn=arn)
    return [event for page in pages for event in page["events"]]


def put_events(history: list[dict[str, Any]]) -> list[str]:
    """The ids of the events that the execution put on a bus."""
    answers = answers_of(history, "taskSucceededEventDetails", "events")
    return [entry["EventId"] for answer in answers for entry in answer.get("Entries", []) if "EventId" in entry]


def started_executions(history: list[dict[str, Any]]) -> list[str]:
    """The ARNs of the executions that the execution started and waited for."""
    answers = answers_of(history, "taskSubmittedEventDetails", "states")
    return [answer["ExecutionArn"] for answer in answers if "ExecutionArn" in answer]


def answers_of(history: list[dict[str, Any]], details: str, service: str) -> list[dict[str, Any]]:
    """What the service answered to the execution's tasks, by its events with these details.

    `taskSubmittedEventDetails` have the answer to a call whose end a task waits for."""
    found = [event[details] for event in history if event.get(details, {}).get("resourceType") == service]
    return [json.loads(one["output"]) for one in found]


AnswerT = TypeVar("AnswerT", bound=Message)


def answer(execution: Execution, state: str, kind: type[AnswerT]) -> AnswerT | None:
    """The answer of the function behind `$.<state>`; None if the execution did not enter that state."""
    found = execution.answer(state)
    return kind.model_validate(found) if found else None


def trained_for(execution: Execution) -> str:
    """Why a train execution started: `first`, `alarm`, `schedule` or `command`. Empty if it failed too early."""
    return str(execution.output.get("reason") or execution.input.get("reason") or "")


def alarm_of(execution: Execution) -> str:
    """The alarm whose change of state started this execution of `retrain`; empty if no alarm did."""
    return RetrainingRequest.model_validate(execution.input.get("detail", {})).alarm or ""


@dataclass(frozen=True, kw_only=True)
class DropAnswer:
    """What an execution of `ingest` or `score` says about one drop. A field is None before the step that fills it."""

    drop_id: str
    name: str
    """For example `training/1996-05.parquet`. Empty for a run by hand that takes the newest object."""
    as_of: str
    """When the drop came, ISO 8601."""
    rejected: RejectedDrop | None
    committed: Committed | None
    delivered: Delivered | None

    @property
    def is_answered(self) -> bool:
        """Whether the execution got as far as the step that says what became of the drop."""
        return bool(self.rejected or self.committed or self.delivered)

    @property
    def quarantined(self) -> int:
        """How many rows of the drop are quarantined."""
        found = self.committed.rows_quarantined if self.committed else 0
        return self.delivered.quarantined if self.delivered else found


def drops_of(execution: Execution) -> tuple[DropAnswer, ...]:
    """The drops of an execution, in the order of its input. Empty for other machines than `ingest` and `score`."""
    if execution.machine not in MACHINE_OF_FEED.values():
        return ()
    ingested = answer(execution, "ingestion", Ingested)
    committed = answer(execution, "validation", CommittedDrops) if execution.machine == "ingest" else None
    delivered = answer(execution, "delivery", DeliveredDrops)
    now = str(execution.output.get("as_of") or execution.input.get("as_of") or "")
    return tuple(
        DropAnswer(
            # A run by hand has no id for its drop: what it leaves lies under the execution's name.
            drop_id=(drop_id := str(each.get("drop_id") or execution.name)),
            name=str(each.get("key", "")).partition("/")[2],
            as_of=str(each.get("as_of") or now),
            rejected=_of(drop_id, ingested.rejected if ingested else ()),
            committed=_of(drop_id, committed.drops if committed else ()),
            delivered=_of(drop_id, delivered.drops if delivered else ()),
        )
        for each in objects_of(execution.input.get("detail") or {}) or [{}]
    )


def of_drop(execution: Execution, drop_id: str) -> Execution:
    """The execution as if this drop were its only one; unchanged if it does not have the drop."""
    detail = execution.input.get("detail") or {}
    kept = [each for each in objects_of(detail) if each.get("drop_id") == drop_id]
    return replace(execution, input={**execution.input, "detail": {**detail, "objects": kept}}) if kept else execution


def objects_of(detail: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The objects that the detail of an input names: `[{"bucket": …, "key": …, "version_id": …, "drop_id": …}]`."""
    return detail.get("objects") or []


AnyDrop = TypeVar("AnyDrop", RejectedDrop, Committed, Delivered)


def _of(drop_id: str, drops: Sequence[AnyDrop]) -> AnyDrop | None:
    """The entry of the drop with this id; None if there is none."""
    return next((each for each in drops if each.drop_id == drop_id), None)
