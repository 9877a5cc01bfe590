"""What happened and why, read back from the cloud: executions, the events they put, the events that started them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from millrace.desk import Desk
from millrace.names import WorkloadNames

MACHINES = ("ingest", "train", "release", "score", "monitor", "retrain")


@dataclass(frozen=True, kw_only=True)
class Execution:
    """One run of a state machine, with the answers of its states by name."""

    machine: str
    arn: str
    name: str
    status: str
    input: dict[str, Any]
    output: dict[str, Any]
    """Empty while it runs and when it failed."""
    started: datetime
    stopped: datetime
    events: list[str] = field(default_factory=list)
    """The ids of the events it put."""
    children: list[str] = field(default_factory=list)
    """The ARNs of the executions it started."""
    transitions: int = 0
    """States entered: what Step Functions counts."""
    failure: str = ""
    """Error and cause, when it failed."""

    @property
    def seconds(self) -> float:
        return (self.stopped - self.started).total_seconds()

    def answer(self, state: str) -> dict[str, Any]:
        """What the function behind `$.<state>` answered, empty when that state was not entered."""
        return dict(self.output.get(state, {}).get("answer", {}))

    @property
    def is_good(self) -> bool:
        return self.status == "SUCCEEDED"


def executions(desk: Desk, names: WorkloadNames) -> list[Execution]:
    """Every execution of the workload's machines, oldest first; one call for each, and one for each machine."""
    client = desk.client("stepfunctions")
    found = [
        _execution(client, machine, each)
        for machine in MACHINES
        for page in client.get_paginator("list_executions").paginate(stateMachineArn=names.machine_arn(machine))
        for each in page["executions"]
    ]
    return sorted(found, key=lambda execution: execution.started)


def _execution(client: Any, machine: str, listed: Mapping[str, Any]) -> Execution:
    pages = client.get_paginator("get_execution_history").paginate(executionArn=listed["executionArn"])
    history = [event for page in pages for event in page["events"]]
    return Execution(
        machine=machine,
        arn=listed["executionArn"],
        name=listed["name"],
        status=listed["status"],
        input=_document(history, "executionStartedEventDetails", "input"),
        output=_document(history, "executionSucceededEventDetails", "output"),
        started=listed["startDate"],
        stopped=listed.get("stopDate") or listed["startDate"],
        events=[event_id for event in history for event_id in _put_events(event)],
        children=[child for event in history for child in _started(event)],
        transitions=sum(event["type"].endswith("StateEntered") for event in history),
        failure=_failure(history),
    )


def _document(history: list[dict[str, Any]], details: str, name: str) -> dict[str, Any]:
    texts = [event[details].get(name) for event in history if details in event]
    return dict(json.loads(texts[0] or "{}")) if texts else {}


def _failure(history: list[dict[str, Any]]) -> str:
    names = ("executionFailedEventDetails", "executionTimedOutEventDetails", "executionAbortedEventDetails")
    found = [event[name] for event in history for name in names if name in event]
    return ": ".join(word for word in (found[-1].get("error"), found[-1].get("cause")) if word) if found else ""


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
