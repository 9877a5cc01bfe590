"""The states that an execution entered, in order: how each ended and what its task called, read from the history.

A redrive does not enter a state again. Its events link back to the state's first entry. So the links say to which state
an event belongs, not the order of the events.
https://docs.aws.amazon.com/step-functions/latest/apireference/API_GetExecutionHistory.html"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

Outcome = Literal["succeeded", "failed", "caught", "stopped", "running"]
ENDINGS = ("ExecutionFailed", "ExecutionTimedOut", "ExecutionAborted")
"""The events with which an execution ends without success."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """The last call of a task."""

    service: str
    """For example `lambda`, `sagemaker`, `events`, `states` or `aws-sdk:…`."""
    action: str
    """For example `invoke` or `createTrainingJob.sync`."""
    parameters: Mapping[str, Any]
    started: datetime


@dataclass(frozen=True, kw_only=True)
class Step:
    """One state that an execution entered."""

    name: str
    kind: str
    """For example `Task`, `Choice` or `Pass`."""
    entered: datetime
    ended: datetime | None = None
    """None while it runs."""
    outcome: Outcome = "running"
    tries: int = 0
    """How often its task was started: once, and again for each retry and redrive."""
    error: str = ""
    cause: str = ""
    """Error and cause are those of the last try that failed."""
    call: Call | None = None

    @property
    def seconds(self) -> float | None:
        return (self.ended - self.entered).total_seconds() if self.ended else None


@dataclass(kw_only=True)
class _Reader:
    """Reads the events of a history into steps.

    A step is known by the id of the event that entered it:

        event 4  TaskStateEntered  previous 3    step 4 begins
        event 5  TaskScheduled     previous 4    belongs to step 4, by its link
        event 6  TaskStarted       previous 5    belongs to step 4, by the link of its link"""

    steps: dict[int, Step] = field(default_factory=dict)
    owner: dict[int, int] = field(default_factory=dict)
    """By the event's id: the step that the event belongs to; 0 for none."""
    failed: set[int] = field(default_factory=set)
    """The ids of the events that say that a task failed."""

    def read(self, event: Mapping[str, Any]) -> None:
        kind, number, before = str(event["type"]), int(event["id"]), int(event.get("previousEventId", 0))
        if kind.endswith("StateEntered"):
            self._enter(event, number, kind.removesuffix("StateEntered"))
            return
        at = self.owner[number] = self.owner.get(before, 0)
        # A state that is left right after a failure of its task has caught that failure.
        if kind.endswith("StateExited"):
            self.owner[number] = self._exit(event, at, caught=before in self.failed)
        elif kind == "ExecutionRedriven":
            self._resume()
        elif kind in ENDINGS:
            self._end(event, at)
        elif at:
            self._task(event, at, kind)

    def _enter(self, event: Mapping[str, Any], number: int, kind: str) -> None:
        name = event["stateEnteredEventDetails"]["name"]
        self.owner[number] = number
        self.steps[number] = Step(name=name, kind=kind, entered=event["timestamp"])

    def _exit(self, event: Mapping[str, Any], at: int, *, caught: bool) -> int:
        """Close the step that was left; returns its number.

        The link of a Parallel's or a Map's exit leads to a state inside of it, so the name decides."""
        name = event["stateExitedEventDetails"]["name"]
        if at not in self.steps or self.steps[at].name != name:
            # The last step of this name that is still open.
            at = next((each for each in reversed(self.steps) if self._is_open(each, name)), at)
        if at in self.steps:
            outcome: Outcome = "caught" if caught else "succeeded"
            self._set(at, ended=event["timestamp"], outcome=outcome)
        return at

    def _is_open(self, number: int, name: str) -> bool:
        return self.steps[number].name == name and self.steps[number].ended is None

    def _resume(self) -> None:
        """A redrive: the steps that had failed or were stopped run again."""
        for number, step in self.steps.items():
            if step.outcome in ("failed", "stopped"):
                self._set(number, outcome="running", ended=None)

    def _end(self, event: Mapping[str, Any], at: int) -> None:
        """The execution ended without success: close every step that still runs."""
        details: Mapping[str, Any] = next((value for key, value in event.items() if key.endswith("EventDetails")), {})
        for number, step in list(self.steps.items()):
            if step.outcome != "running":
                continue
            # A Choice or Pass has no task: its failure is only in the execution's last event.
            has_failed = step.error or (number == at and event["type"] == "ExecutionFailed")
            self._set(number, ended=event["timestamp"], outcome="failed" if has_failed else "stopped")
            if number == at and not step.error:
                self._set(number, error=details.get("error") or "", cause=details.get("cause") or "")

    def _task(self, event: Mapping[str, Any], at: int, kind: str) -> None:
        """An event of a task: another try, or a failure."""
        if kind.endswith("Scheduled"):
            self._set(at, tries=self.steps[at].tries + 1, call=_call(event) or self.steps[at].call)
        elif kind.endswith(("Failed", "TimedOut")):
            self.failed.add(int(event["id"]))
            details = next((value for key, value in event.items() if key.endswith("EventDetails")), None)
            if details is not None:
                self._set(at, error=details.get("error") or "", cause=details.get("cause") or "")

    def _set(self, number: int, **changed: Any) -> None:
        self.steps[number] = replace(self.steps[number], **changed)


def read_steps(history: Iterable[Mapping[str, Any]]) -> list[Step]:
    """The states in the order in which they were entered."""
    reader = _Reader()
    for event in history:
        reader.read(event)
    return list(reader.steps.values())


def failed_step(steps: Sequence[Step]) -> Step | None:
    """The innermost state that made the execution fail. If it was stopped or out of time, the state that ran then."""
    for outcome in ("failed", "stopped"):
        found = [step for step in steps if step.outcome == outcome]
        if found:
            # A state with a call of its own lies inside the Parallel or Map that failed with it.
            return max(found, key=lambda step: step.call is not None)
    return None


def _call(event: Mapping[str, Any]) -> Call | None:
    details = event.get("taskScheduledEventDetails")
    if details is None:
        return None
    return Call(
        service=details["resourceType"],
        action=details["resource"],
        parameters=json.loads(details["parameters"]),
        started=event["timestamp"],
    )
