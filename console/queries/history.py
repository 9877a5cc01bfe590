"""The states of an execution in order, how each ended, what its task called, from its history.

A redrive enters no state again: its events link back to the state's first entry, so links and not neighbours say
which state an event belongs to.
https://docs.aws.amazon.com/step-functions/latest/apireference/API_GetExecutionHistory.html"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

Outcome = Literal["succeeded", "failed", "caught", "stopped", "running"]
ENDINGS = ("ExecutionFailed", "ExecutionTimedOut", "ExecutionAborted")


@dataclass(frozen=True, kw_only=True)
class Call:
    """The last call of a task."""

    service: str
    """`lambda`, `sagemaker`, `events`, `states`, `aws-sdk:…`."""
    action: str
    """`invoke`, `createTrainingJob.sync`."""
    parameters: Mapping[str, Any]
    started: datetime


@dataclass(frozen=True, kw_only=True)
class Step:
    """One state that an execution entered."""

    name: str
    kind: str
    """`Task`, `Choice`, `Pass`, …"""
    entered: datetime
    ended: datetime | None = None
    """None while it runs, and of one that was left when its execution ended."""
    outcome: Outcome = "running"
    tries: int = 0
    """How often its task was started: once, and again by retries and redrives."""
    error: str = ""
    cause: str = ""
    """Of the last try that failed."""
    call: Call | None = None

    @property
    def seconds(self) -> float | None:
        return (self.ended - self.entered).total_seconds() if self.ended else None


@dataclass(kw_only=True)
class _Reader:
    """Steps by the id of the event that entered them."""

    steps: dict[int, Step] = field(default_factory=dict)
    owner: dict[int, int] = field(default_factory=dict)
    """By event: the step it belongs to; 0 for none."""
    failed: set[int] = field(default_factory=set)
    """Ids of failure events."""

    def read(self, event: Mapping[str, Any]) -> None:
        kind, number, before = str(event["type"]), int(event["id"]), int(event.get("previousEventId", 0))
        if kind.endswith("StateEntered"):
            self._enter(event, number, kind.removesuffix("StateEntered"))
            return
        at = self.owner[number] = self.owner.get(before, 0)
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
        """The step that was left: of a Parallel or Map the link leads to a state inside of it, so the name decides."""
        name = event["stateExitedEventDetails"]["name"]
        if at not in self.steps or self.steps[at].name != name:
            at = next((each for each in reversed(self.steps) if self._is_open(each, name)), at)
        if at in self.steps:
            outcome: Outcome = "caught" if caught else "succeeded"
            self._set(at, ended=event["timestamp"], outcome=outcome)
        return at

    def _is_open(self, number: int, name: str) -> bool:
        return self.steps[number].name == name and self.steps[number].ended is None

    def _resume(self) -> None:
        for number, step in self.steps.items():
            if step.outcome in ("failed", "stopped"):
                self._set(number, outcome="running", ended=None)

    def _end(self, event: Mapping[str, Any], at: int) -> None:
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
    """The innermost state that made the execution fail or, when it was stopped or out of time, that ran then."""
    for outcome in ("failed", "stopped"):
        found = [step for step in steps if step.outcome == outcome]
        if found:
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
