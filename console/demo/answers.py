"""What the functions of the machines answered, as far as a story needs it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import Field

from console.queries.executions import Execution
from console.queries.versions import Verdict
from millrace.messages.envelope import Message, Moment
from millrace.messages.ingest import Committed

AnswerT = TypeVar("AnswerT", bound=Message)


class Pinned(Message):
    """The dataset version that a run trains on."""

    run: str
    snapshot_id: str
    data_digest: str
    contract_digest: str
    code_digest: str
    rows: int
    as_of: Moment
    absorbed: int = 0
    """Rows that came of decisions whose labels had come."""


class Budgeted(Message):
    accepted: bool
    reason: str | None = None


class Gated(Message):
    passed: bool
    verdicts: tuple[Verdict, ...]

    @property
    def refusals(self) -> tuple[Verdict, ...]:
        return tuple(verdict for verdict in self.verdicts if not verdict.passed)


class Registered(Message):
    package_arn: str
    version: str


class Guarded(Message):
    """The guard's decision."""

    accepted: bool
    reason: str
    trigger: str
    sentence: str
    earliest_next: Moment | None = None


class Opened(Message):
    outcome: str
    version: str
    previous_version: str
    run_name: str


class Probed(Message):
    rows: int
    sentence: str


class Alarmed(Message):
    """The detail of an alarm's change of state."""

    alarm: str = Field(alias="alarmName")


def answer(execution: Execution, state: str, kind: type[AnswerT]) -> AnswerT | None:
    """What the function behind `$.<state>` answered; None when that state was not entered."""
    found = execution.answer(state)
    return kind.model_validate(found) if found else None


def reason_of(execution: Execution) -> str:
    """Why a train execution started: `first`, `alarm`, `schedule` or `command`; empty when it did not come so far."""
    return str(execution.output.get("reason") or execution.input.get("reason") or "")


def alarm_of(execution: Execution) -> str:
    """The alarm whose change of state started this execution of `retrain`; empty when none did."""
    detail = execution.input.get("detail", {})
    return Alarmed.model_validate(detail).alarm if "alarmName" in detail else ""


def committed_of(execution: Execution) -> Committed | None:
    """The commit of an ingest execution; None for other machines, and where nothing was committed."""
    return answer(execution, "validation", Committed) if execution.machine == "ingest" else None


def source_of(execution: Execution) -> str:
    """The drop that started it, as `training/1996-05.parquet`; empty when none did."""
    return str(object_of(execution).get("key", "")).partition("/")[2]


def object_of(execution: Execution) -> Mapping[str, Any]:
    """Bucket, key and version_id of the drop that started it; empty when none did."""
    objects = execution.input.get("detail", {}).get("objects") or [{}]
    found: Mapping[str, Any] = objects[0]
    return found
