"""What happened and why, read back from the cloud: executions, the events they put, the events that started them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from millrace.desk import Desk
from millrace.names import WorkloadNames

MACHINES = ("ingest", "train", "release", "score", "monitor", "retrain")


@dataclass(frozen=True, kw_only=True)
class Step:
    """One thing that happened; `caused_by` is the id of the step that caused it, None for what a person did."""

    name: str
    id: str
    status: str
    seconds: float
    caused_by: str | None
    event: str | None = None
    """The id of the event that carried the cause."""
    started: str = ""

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "id": self.id,
            "status": self.status,
            "seconds": round(self.seconds, 3),
            "caused_by": self.caused_by,
            "event": self.event,
            "started": self.started,
        }


@dataclass(frozen=True, kw_only=True)
class Execution:
    """One run of a state machine, with the answers of its states by name."""

    machine: str
    arn: str
    name: str
    status: str
    input: dict[str, Any]
    output: dict[str, Any]
    started: datetime
    stopped: datetime
    events: list[str] = field(default_factory=list)
    """The ids of the events it put."""
    children: list[str] = field(default_factory=list)
    """The ARNs of the executions it started."""

    @property
    def seconds(self) -> float:
        return (self.stopped - self.started).total_seconds()

    def answer(self, result: str) -> dict[str, Any]:
        """What the function behind `$.<result>` answered, empty when that state was not entered."""
        return dict(self.output.get(result, {}).get("answer", {}))


def executions(desk: Desk, names: WorkloadNames) -> list[Execution]:
    """Every execution of the workload's machines, oldest first."""
    client = desk.client("stepfunctions")
    found = [
        _execution(client, machine, each["executionArn"])
        for machine in MACHINES
        for page in client.get_paginator("list_executions").paginate(stateMachineArn=names.machine_arn(machine))
        for each in page["executions"]
    ]
    return sorted(found, key=lambda execution: execution.started)


def _execution(client: Any, machine: str, arn: str) -> Execution:
    said = client.describe_execution(executionArn=arn)
    events: list[str] = []
    children: list[str] = []
    for page in client.get_paginator("get_execution_history").paginate(executionArn=arn):
        for event in page["events"]:
            events += _put_events(event)
            children += _started(event)
    return Execution(
        machine=machine,
        arn=arn,
        name=said["name"],
        status=said["status"],
        input=json.loads(said.get("input") or "{}"),
        output=json.loads(said.get("output") or "{}"),
        started=said["startDate"],
        stopped=said.get("stopDate") or said["startDate"],
        events=events,
        children=children,
    )


def _put_events(event: dict[str, Any]) -> list[str]:
    details = event.get("taskSucceededEventDetails", {})
    if details.get("resourceType") != "events":
        return []
    return [entry["EventId"] for entry in json.loads(details["output"]).get("Entries", []) if "EventId" in entry]


def _started(event: dict[str, Any]) -> list[str]:
    details = event.get("taskSubmittedEventDetails", {})
    if details.get("resourceType") != "states":
        return []
    answer = json.loads(details["output"])
    return [answer["ExecutionArn"]] if "ExecutionArn" in answer else []


def steps(found: list[Execution], deeds: list[Step]) -> list[Step]:
    """The deeds of the driver and what followed from them, each with its cause."""
    by_event = {event: execution.arn for execution in found for event in execution.events}
    parent = {child: execution.arn for execution in found for child in execution.children}
    by_deed = {deed.id: deed.id for deed in deeds}
    result = list(deeds)
    for execution in found:
        cause = execution.input.get("cause")
        result += _alarm(execution, found)
        result.append(
            Step(
                name=f"{execution.machine} {_about(execution)}".strip(),
                id=execution.arn,
                status=execution.status,
                seconds=execution.seconds,
                caused_by=parent.get(execution.arn)
                or by_event.get(str(cause))
                or by_deed.get(_put(execution))
                or _scheduled(execution, deeds)
                or (str(cause) if _is_alarm(execution) else None),
                event=cause,
                started=execution.started.isoformat(),
            )
        )
    return result


def _about(execution: Execution) -> str:
    key = execution.input.get("detail", {}).get("key", "")
    return str(key).rpartition("/")[2]


def _put(execution: Execution) -> str:
    detail = execution.input.get("detail", {})
    return f"s3://{detail.get('bucket')}/{detail.get('key')}?versionId={detail.get('version_id')}"


def _scheduled(execution: Execution, deeds: list[Step]) -> str | None:
    """The clock move on whose way the schedule fell due."""
    if "schedule" not in execution.input.get("detail", {}):
        return None
    due = datetime.fromisoformat(str(execution.input["as_of"]))
    moves = [deed for deed in deeds if deed.name.startswith("clock to ") and datetime.fromisoformat(deed.id) >= due]
    return min(moves, key=lambda deed: datetime.fromisoformat(deed.id)).id if moves else None


def _is_alarm(execution: Execution) -> bool:
    return "alarmName" in execution.input.get("detail", {})


def _alarm(execution: Execution, found: list[Execution]) -> list[Step]:
    """The alarm's change of state as a step of its own; the last monitor run before it put the metric."""
    if not _is_alarm(execution):
        return []
    detail = execution.input["detail"]
    before = [each for each in found if each.machine == "monitor" and each.started < execution.started]
    return [
        Step(
            name=f"alarm {detail['alarmName']}",
            id=str(execution.input["cause"]),
            status=detail["state"]["value"],
            seconds=0,
            caused_by=before[-1].arn if before else None,
            started=execution.started.isoformat(),
        )
    ]
