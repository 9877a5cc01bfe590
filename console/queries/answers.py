"""The answers of the steps of an execution, typed."""

from __future__ import annotations

from typing import TypeVar

from pydantic import Field

from console.queries.executions import Execution
from console.queries.versions import Verdict
from millrace.messages.envelope import Moment, Part

AnswerT = TypeVar("AnswerT", bound=Part)


class Pinned(Part):
    """The dataset version that a run trains on."""

    run: str
    snapshot_id: str
    data_digest: str
    contract_digest: str
    code_digest: str
    rows: int
    as_of: Moment
    absorbed: int = 0
    """Rows made of decisions and their late labels."""


class Budgeted(Part):
    accepted: bool
    reason: str | None = None


class Gated(Part):
    passed: bool
    verdicts: tuple[Verdict, ...]

    @property
    def refusals(self) -> tuple[Verdict, ...]:
        return tuple(verdict for verdict in self.verdicts if not verdict.passed)


class Registered(Part):
    package_arn: str
    version: str


class Guarded(Part):
    """The guard's decision."""

    accepted: bool
    reason: str
    trigger: str
    sentence: str
    earliest_next: Moment | None = None


class Opened(Part):
    outcome: str
    version: str
    previous_version: str
    run_name: str


class Probed(Part):
    rows: int
    sentence: str


class Alarmed(Part):
    """The detail of an alarm's change of state."""

    alarm: str = Field(alias="alarmName")


def answer(execution: Execution, state: str, kind: type[AnswerT]) -> AnswerT | None:
    """The answer of the function behind `$.<state>`; None when that state was not entered."""
    found = execution.answer(state)
    return kind.model_validate(found) if found else None


def reason_of(execution: Execution) -> str:
    """Why a train execution started: `first`, `alarm`, `schedule` or `command`; empty if it failed before that."""
    return str(execution.output.get("reason") or execution.input.get("reason") or "")


def alarm_of(execution: Execution) -> str:
    """The alarm whose change of state started this execution of `retrain`; empty when none did."""
    detail = execution.input.get("detail", {})
    return Alarmed.model_validate(detail).alarm if "alarmName" in detail else ""


def source_of(execution: Execution) -> str:
    """The drop that started it, as `training/1996-05.parquet`; empty when none did."""
    return str(execution.input.get("detail", {}).get("key", "")).partition("/")[2]
