"""The answers of the steps of an execution, typed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from console.queries.executions import Execution
from console.queries.former_answers import answer_of
from millrace.messages.envelope import Message
from millrace.messages.ingest import Committed, CommittedDrops, Ingested, RejectedDrop
from millrace.messages.retrain import RetrainingRequest
from millrace.messages.score import Delivered, DeliveredDrops
from millrace.names import MACHINE_OF_FEED

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


@dataclass(frozen=True, kw_only=True)
class DropAnswer:
    """What an execution of `ingest` or `score` says of one of its drops; nothing before the step that says it."""

    drop_id: str
    name: str
    """`training/1996-05.parquet`; empty where a run by hand takes the newest object."""
    as_of: str
    """When it came, ISO 8601."""
    rejected: RejectedDrop | None
    committed: Committed | None
    delivered: Delivered | None

    @property
    def is_answered(self) -> bool:
        """Whether the execution came as far as to say what became of it."""
        return bool(self.rejected or self.committed or self.delivered)

    @property
    def quarantined(self) -> int:
        """How many of its rows are quarantined."""
        found = self.committed.rows_quarantined if self.committed else 0
        return self.delivered.quarantined if self.delivered else found


def drops_of(execution: Execution) -> tuple[DropAnswer, ...]:
    """The drops of an execution, in the order of its input; none for other machines than `ingest` and `score`."""
    if execution.machine not in MACHINE_OF_FEED.values():
        return ()
    ingested = _answer(execution, "ingestion", Ingested)
    committed = _answer(execution, "validation", CommittedDrops) if execution.machine == "ingest" else None
    delivered = _answer(execution, "delivery", DeliveredDrops)
    now = str(execution.output.get("as_of") or execution.input.get("as_of") or "")
    return tuple(
        DropAnswer(
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
    """The execution as if the drop were its only one; as it is where it has no such drop."""
    detail = execution.input.get("detail") or {}
    kept = [each for each in objects_of(detail) if each.get("drop_id") == drop_id]
    return replace(execution, input={**execution.input, "detail": {**detail, "objects": kept}}) if kept else execution


def quarantined_of(execution: Execution) -> int:
    """How many rows an execution of `ingest` or `score` has quarantined; 0 for other machines."""
    return sum(each.quarantined for each in drops_of(execution))


def objects_of(detail: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Bucket, key and version_id of the drops that the detail of an input names."""
    found: Sequence[Mapping[str, Any]] = detail.get("objects") or []
    return found


def _answer(execution: Execution, state: str, kind: type[AnswerT]) -> AnswerT | None:
    """As `answer`, also of runs from before drops went together."""
    found = answer_of(execution, state)
    return kind.model_validate(found) if found else None


AnyDrop = TypeVar("AnyDrop", RejectedDrop, Committed, Delivered)


def _of(drop_id: str, drops: Sequence[AnyDrop]) -> AnyDrop | None:
    return next((each for each in drops if each.drop_id == drop_id), None)
