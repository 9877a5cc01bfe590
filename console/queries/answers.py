"""The answers of the steps of an execution, typed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from console.queries.executions import Execution
from millrace.messages.envelope import Message
from millrace.messages.ingest import Committed
from millrace.messages.retrain import RetrainingRequest
from millrace.messages.score import Delivered

AnswerT = TypeVar("AnswerT", bound=Message)


def answer(execution: Execution, state: str, kind: type[AnswerT]) -> AnswerT | None:
    """The answer of the function behind `$.<state>`; None when that state was not entered."""
    found = execution.answer(state)
    return kind.model_validate(found) if found else None


def reason_of(execution: Execution) -> str:
    """Why a train execution started: `first`, `alarm`, `schedule` or `command`; empty if it failed before that."""
    return str(execution.output.get("reason") or execution.input.get("reason") or "")


def alarm_of(execution: Execution) -> str:
    """The alarm whose change of state started this execution of `retrain`; empty when none did."""
    return RetrainingRequest.model_validate(execution.input.get("detail", {})).alarm or ""


def committed_of(execution: Execution) -> Committed | None:
    """The commit of an ingest execution; None for other machines, and where nothing was committed."""
    return answer(execution, "validation", Committed) if execution.machine == "ingest" else None


def quarantined_of(execution: Execution) -> int:
    """How many rows an execution of `ingest` or `score` has quarantined; 0 for other machines."""
    committed, delivered = committed_of(execution), answer(execution, "delivery", Delivered)
    return committed.rows_quarantined if committed else delivered.quarantined if delivered else 0


def source_of(execution: Execution) -> str:
    """The drop that started it, as `training/1996-05.parquet`; empty when none did."""
    return str(object_of(execution).get("key", "")).partition("/")[2]


def object_of(execution: Execution) -> Mapping[str, Any]:
    """Bucket, key and version_id of the drop that started it; empty when none did."""
    objects = execution.input.get("detail", {}).get("objects") or [{}]
    found: Mapping[str, Any] = objects[0]
    return found
