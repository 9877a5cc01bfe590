"""The answers of an execution's steps, as typed messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from millrace.console.queries.executions import Execution
from millrace.messages.envelope import Message
from millrace.messages.ingest import Committed, CommittedDrops, Ingested, RejectedDrop
from millrace.messages.retrain import RetrainingRequest
from millrace.messages.score import Delivered, DeliveredDrops
from millrace.names import MACHINE_OF_FEED

AnswerT = TypeVar("AnswerT", bound=Message)


def answer(execution: Execution, state: str, kind: type[AnswerT]) -> AnswerT | None:
    """The answer of the function behind `$.<state>`; None if the execution did not enter that state."""
    found = execution.answer(state)
    return kind.model_validate(found) if found else None


def reason_of(execution: Execution) -> str:
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


def quarantined_of(execution: Execution) -> int:
    """How many rows an execution of `ingest` or `score` has quarantined; 0 for other machines."""
    return sum(each.quarantined for each in drops_of(execution))


def objects_of(detail: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The objects that the detail of an input names: `[{"bucket": …, "key": …, "version_id": …, "drop_id": …}]`."""
    found: Sequence[Mapping[str, Any]] = detail.get("objects") or []
    return found


AnyDrop = TypeVar("AnyDrop", RejectedDrop, Committed, Delivered)


def _of(drop_id: str, drops: Sequence[AnyDrop]) -> AnyDrop | None:
    """The entry of the drop with this id; None if there is none."""
    return next((each for each in drops if each.drop_id == drop_id), None)
