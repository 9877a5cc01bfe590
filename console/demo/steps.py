"""Everything that happened, on one axis of time, each thing with its cause."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from console.demo.answers import alarm_of, object_of
from console.demo.naming import alarm_name, is_refused, outcome_of, subject_of
from console.queries.executions import Execution


@dataclass(frozen=True, kw_only=True)
class Step:
    """One thing that happened; `caused_by` is the id of the step that caused it, None for what a person did."""

    kind: str
    """`put`, `predictions` or `clock` for a deed, `alarm`, or the machine's name."""
    subject: str
    """What it is about: `train (first)`."""
    id: str
    status: str
    seconds: float
    caused_by: str | None
    started: datetime
    """By the cloud's clock, which people move."""
    at_s: float = 0.0
    """By the clock on the wall, since the demo began to live."""
    event: str | None = None
    """The id of the event that carried the cause."""
    outcome: str = ""
    """What came of it: `version 1`."""
    is_refused: bool = False
    """A gate refused the model, or the guard the retraining."""
    alarm: str = ""
    """The alarm that changed its state, `input drift`; empty for all but an alarm."""

    @property
    def name(self) -> str:
        """`train (first): version 1`."""
        return f"{self.subject}: {self.outcome}" if self.outcome else self.subject

    def as_json(self) -> dict[str, Any]:
        rounded = {"seconds": round(self.seconds, 3), "at_s": round(self.at_s, 3)}
        return asdict(self) | rounded | {"name": self.name, "started": self.started.isoformat()}


@dataclass(frozen=True, kw_only=True)
class Noted:
    """Both clocks at one moment."""

    wall_s: float
    cloud: datetime


def wall_s(noted: Sequence[Noted], at: datetime) -> float:
    """The second on the wall at which the cloud's clock showed `at`; `noted` in order of time, not empty.

    Between two notes both clocks run alike, except that a move of the cloud's takes no time on the wall."""
    number = max(bisect_right(noted, at, key=lambda note: note.cloud) - 1, 0)
    here = noted[number]
    passed = here.wall_s + (at - here.cloud).total_seconds()
    return min(passed, noted[number + 1].wall_s) if number + 1 < len(noted) else passed


def steps(found: Sequence[Execution], deeds: Sequence[Step], noted: Sequence[Noted]) -> list[Step]:
    """The deeds of the driver and what followed from them, each with its cause, in order of time."""
    causes = _Causes(found, deeds)
    result = list(deeds)
    for execution in found:
        at_s = wall_s(noted, execution.started)
        if execution.machine == "retrain" and alarm_of(execution):
            result.append(_alarm(execution, causes, at_s))
        result.append(
            Step(
                kind=execution.machine,
                subject=subject_of(execution),
                outcome=outcome_of(execution),
                is_refused=is_refused(execution),
                id=execution.arn,
                status=execution.status,
                seconds=execution.seconds,
                caused_by=causes.of(execution),
                started=execution.started,
                at_s=at_s,
                event=execution.input.get("cause"),
            )
        )
    return sorted(result, key=lambda step: step.started)


class _Causes:
    """Who caused which execution: another that started it or put its event, an alarm, or a person's deed."""

    def __init__(self, found: Sequence[Execution], deeds: Sequence[Step]) -> None:
        self._found = found
        self._deeds = deeds
        self._by_event = {event: execution.arn for execution in found for event in execution.events}
        self._parents = {child: execution.arn for execution in found for child in execution.children}

    def of(self, execution: Execution) -> str | None:
        if parent := self._parents.get(execution.arn):
            return parent
        cause = str(execution.input.get("cause"))
        return (
            self._by_event.get(cause)
            or self._put(execution)
            or self._move(execution)
            or (cause if alarm_of(execution) else None)
        )

    def monitor_before(self, execution: Execution) -> str | None:
        """The monitor run that put the metric on which the alarm rests."""
        before = [each for each in self._found if each.machine == "monitor" and each.started < execution.started]
        return before[-1].arn if before else None

    def _put(self, execution: Execution) -> str | None:
        """The object that somebody put."""
        put = object_of(execution)
        uri = f"s3://{put.get('bucket')}/{put.get('key')}?versionId={put.get('version_id')}"
        return next((deed.id for deed in self._deeds if deed.id == uri), None)

    def _move(self, execution: Execution) -> str | None:
        """The first clock move that came to where the schedule was due."""
        if "schedule" not in execution.input.get("detail", {}):
            return None
        due = datetime.fromisoformat(str(execution.input["as_of"]))
        moves = [deed.id for deed in self._deeds if deed.kind == "clock" and datetime.fromisoformat(deed.id) >= due]
        return min(moves, key=datetime.fromisoformat, default=None)


def _alarm(execution: Execution, causes: _Causes, at_s: float) -> Step:
    """The alarm's change of state as a step of its own."""
    alarm = alarm_name(alarm_of(execution))
    return Step(
        kind="alarm",
        subject=f"alarm: {alarm}",
        alarm=alarm,
        id=str(execution.input["cause"]),
        status=str(execution.input["detail"]["state"]["value"]),
        seconds=0,
        caused_by=causes.monitor_before(execution),
        started=execution.started,
        at_s=at_s,
    )
