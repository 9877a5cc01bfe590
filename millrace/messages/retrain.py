"""The machine `retrain`: its input and the guard's decision."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import Field

from millrace.messages.envelope import ExecutionInput, Message, Moment

RetrainingTrigger = Literal["alarm", "schedule", "command"]


class RetrainingReason(StrEnum):
    """Why the guard decided as it did."""

    ACCEPTED = "accepted"
    RUNNING = "running"
    """Another retraining holds the lease."""
    COOL_DOWN = "cool_down"
    RUNS_PER_MONTH = "runs_per_month"
    BUDGET = "budget"
    NEW_LABELS = "new_labels"
    """Too few labels since the last retraining."""
    NO_CHAMPION = "no_champion"


class RetrainingRequest(Message):
    """Detail of an alarm's state change, of the monitor's request or of a schedule; empty for a command."""

    alarm: str | None = Field(default=None, alias="alarmName")
    alarms: tuple[str, ...] = ()
    schedule: str | None = None


class RetrainInput(ExecutionInput):
    """The input of a retrain execution."""

    reason: RetrainingTrigger | None = None
    detail: RetrainingRequest = RetrainingRequest()

    @property
    def trigger(self) -> RetrainingTrigger:
        """The input's reason, else derived from its detail, else a person's command."""
        if self.reason:
            return self.reason
        if self.detail.alarm or self.detail.alarms:
            return "alarm"
        return "schedule" if self.detail.schedule else "command"


class RetrainingEvidence(Message):
    """The figures that the guard's decision rests on."""

    as_of: Moment
    last_started_at: Moment | None
    new_labels: int
    runs_this_month: int
    spent_usd: float
    """Reserved in the month of `as_of`."""
    projected_usd: float


class RetrainingDecided(Message):
    """Answer of `guard`: accepted or refused, why, and the earliest next time."""

    accepted: bool
    reason: RetrainingReason
    trigger: RetrainingTrigger
    sentence: str
    earliest_next: Moment | None = None
    """When a request like this one could be accepted; None when accepted, or when no clock decides it."""
    evidence: RetrainingEvidence
