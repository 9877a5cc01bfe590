"""The messages of the machine `retrain`: its input, and the decision of the function `guard`."""

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
    """Another retraining holds the lease `retrain`."""
    COOL_DOWN = "cool_down"
    """The last retraining is too short ago."""
    RUNS_PER_MONTH = "runs_per_month"
    """The month has had its most retrainings."""
    BUDGET = "budget"
    """The month's budget has no room for the projected cost."""
    NEW_LABELS = "new_labels"
    """Too few labels have come since the last retraining."""
    DRIFTED_LABELS = "drifted_labels"
    """Too few labels have come of rows since the first window above its bound."""
    NO_CHAMPION = "no_champion"
    """No version is live yet."""
    ALARM = "alarm"
    """The declaration does not name the alarm."""


class RetrainingRequest(Message):
    """The detail of a retrain execution's input. At most one field is set; for a command none is.

    {"alarmName": "millrace-local-electricity-input-drift", …}       CloudWatch's event: an alarm was raised
    {"alarms": ["millrace-local-electricity-input-drift"], …}        the monitor's event `retrain.requested`
    {"schedule": "retrain", …}                                       the schedule
    """

    alarm: str | None = Field(default=None, alias="alarmName")
    """The alarm that was raised."""
    alarms: tuple[str, ...] = ()
    """The alarms that stay in ALARM."""
    schedule: str | None = None
    """The name of the schedule."""

    def names(self, prefix: str) -> tuple[str, ...]:
        """The alarms without the prefix of the workload's resources."""
        return tuple(one.removeprefix(prefix) for one in (*self.alarms, *([self.alarm] if self.alarm else [])))


class RetrainInput(ExecutionInput):
    """The input of a retrain execution."""

    reason: RetrainingTrigger | None = None
    """What triggered the retraining. None: it follows from the detail."""
    detail: RetrainingRequest = RetrainingRequest()
    by_event: bool = False
    """Whether an event on the bus requests it, as the rule says that started the execution."""

    @property
    def trigger(self) -> RetrainingTrigger:
        """What triggered the retraining: the input's reason, else what its detail shows, else a person's command.

        What a program requests is weighed as what a schedule does."""
        if self.reason:
            return self.reason
        if self.detail.alarm or self.detail.alarms:
            return "alarm"
        return "schedule" if self.detail.schedule or self.by_event else "command"


class RetrainingEvidence(Message):
    """The figures that the guard's decision rests on."""

    as_of: Moment
    last_started_at: Moment | None
    """When the last accepted retraining started. None before the first."""
    new_labels: int
    """Labels since the last accepted retraining."""
    drifted_since: Moment | None = None
    """The start of the first window above its bound. None if no window is, and for a command."""
    drifted_labels: int = 0
    """Labels of rows since then."""
    labels_wanted: int = 0
    """How many more of them the retraining needs."""
    runs_this_month: int
    """Accepted retrainings in the month of `as_of` (UTC), without this one."""
    spent_usd: float
    """US dollars that are reserved in the month of `as_of`."""
    projected_usd: float
    """The most that this retraining may cost, in US dollars."""


class RetrainingGrounds(Message):
    """Why the guard accepts or refuses a request."""

    reason: RetrainingReason
    trigger: RetrainingTrigger
    sentence: str
    """The reason in words, for a person."""
    earliest_next: Moment | None = None
    """The earliest time at which a request like this one could be accepted.

    None if the request is accepted, or if waiting alone does not help."""
    evidence: RetrainingEvidence


class RetrainingDecided(RetrainingGrounds):
    """The answer of `guard`: accepted or refused, and why.

    {"reason": "cool_down", "trigger": "alarm",
     "sentence": "last retraining 1997-05-15T00:02:00Z, 35 days of cool-down", "earliest_next": "1997-06-19T00:02:00Z",
     "evidence": {"as_of": "1997-06-01T06:01:00Z", "last_started_at": "1997-05-15T00:02:00Z", "new_labels": 0,
                  "runs_this_month": 0, "spent_usd": 0.0, "projected_usd": 0.62}, "accepted": false}"""

    accepted: bool
