"""The steps in `demo.json`: what people did, and the executions that followed, each with its cause."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from millrace.console.presenters.catalogue import outcome, titled
from millrace.console.queries.executions import Execution, objects_of
from millrace.console.queries.monitoring import AlarmRaised, alarms
from millrace.console.queries.runs import parent_of
from millrace.names import WorkloadNames


@dataclass(frozen=True, kw_only=True)
class Step:
    """One action, alarm or execution.

    For example `{"kind": "release", "subject": "release version 2", "outcome": "", "name": "release version 2",
    "id": "arn:…", "status": "SUCCEEDED", "seconds": 3.3, "caused_by": "arn:…", "started": "1997-05-15T06:00:25+00:00"}`
    in `demo.json`."""

    kind: str
    """`put`, `predictions`, `review`, `approval` or `clock` for an action, `alarm` for an alarm, else the
    name of the machine."""
    subject: str
    """What the step is about, for example `train alarm`."""
    id: str
    """The ARN of an execution, the cause of an alarm; of an action its object, its time or its description."""
    status: str
    seconds: float
    caused_by: str | None
    """The id of another step; None for an action."""
    started: datetime
    """By the cloud's clock, which the driver moves."""
    outcome: str = ""
    """For example `version 2`; empty if there is none."""

    @property
    def name(self) -> str:
        """Subject and outcome, for example `train alarm: version 2`."""
        return f"{self.subject}: {self.outcome}" if self.outcome else self.subject

    def as_json(self) -> dict[str, Any]:
        rounded = {"seconds": round(self.seconds, 3), "started": self.started.isoformat()}
        return asdict(self) | rounded | {"name": self.name}


def steps(names: WorkloadNames, found: Sequence[Execution], actions: Sequence[Step]) -> list[Step]:
    """All steps in the order of time. `found` are executions, `actions` are what the driver did."""
    # An execution that an alarm started gets two steps: the alarm, and the execution that the alarm caused.
    raised = {alarm.execution_arn: alarm for alarm in alarms(names, found)}
    result = list(actions)
    for execution in found:
        alarm = raised.get(execution.arn)
        if alarm:
            result.append(_alarm(alarm, execution, found))
        result.append(
            Step(
                kind=execution.machine,
                subject=titled(names, execution),
                outcome=outcome(execution).text,
                id=execution.arn,
                status=execution.status,
                seconds=execution.seconds,
                caused_by=str(execution.input["cause"]) if alarm else _cause(execution, actions),
                started=execution.started,
            )
        )
    return sorted(result, key=lambda step: step.started)


def _cause(execution: Execution, actions: Sequence[Step]) -> str | None:
    """The id of the step that caused the execution; None if none is known.

    It is the execution that started it or put its event, else what a person did: the object, the move of the clock, the
    approval."""
    found = parent_of(execution.input) or _put(execution, actions) or _move(execution, actions)
    return found or _approval(execution, actions)


def _approval(execution: Execution, actions: Sequence[Step]) -> str | None:
    """The id of a person's approval of the version that the execution releases."""
    version = str(execution.input.get("detail", {}).get("package_arn", "")).rpartition("/")[2]
    approved = (action.id for action in actions if action.id == f"approval:{version}")
    return next(approved, None)


def _put(execution: Execution, actions: Sequence[Step]) -> str | None:
    """The id of the last put object that the execution works on."""
    objects = objects_of(execution.input.get("detail") or {})
    uris = [f"s3://{put.get('bucket')}/{put.get('key')}?versionId={put.get('version_id')}" for put in objects]
    return next((action.id for action in reversed(actions) if action.id in uris), None)


def _move(execution: Execution, actions: Sequence[Step]) -> str | None:
    """The id of the first move of the clock to the time of the schedule, or beyond it. None unless a schedule started
    the execution."""
    if "schedule" not in execution.input.get("detail", {}):
        return None
    due = datetime.fromisoformat(str(execution.input["as_of"]))
    moves = [step.id for step in actions if step.kind == "clock" and datetime.fromisoformat(step.id) >= due]
    return min(moves, key=datetime.fromisoformat, default=None)


def _alarm(alarm: AlarmRaised, execution: Execution, found: Sequence[Execution]) -> Step:
    """The step for an alarm's change of state. Its cause is the monitor run before it, which published the metric."""
    # The metric does not say which run published it. `found` is in the order of time, so it was the last monitor run
    # before the alarm.
    before = [each for each in found if each.machine == "monitor" and each.started < alarm.at]
    return Step(
        kind="alarm",
        subject=f"alarm {alarm.name}",
        id=str(execution.input["cause"]),
        status=str(execution.input["detail"]["state"]["value"]),
        seconds=0,
        caused_by=before[-1].arn if before else None,
        started=alarm.at,
    )
