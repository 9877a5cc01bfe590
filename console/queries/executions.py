"""Executions with their histories: input, output, the events that they put, and the executions that they started."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain, islice
from typing import Any

from botocore.exceptions import ClientError

from millrace.console.queries.failures import failure_of
from millrace.errors import EnvironmentNotFoundError
from millrace.names import MACHINES, WorkloadNames


@dataclass(frozen=True, kw_only=True)
class Execution:
    """One run of a state machine, with the answers of its states."""

    machine: str
    arn: str
    name: str
    status: str
    input: dict[str, Any]
    output: dict[str, Any]
    """Empty while the execution runs, and if it failed."""
    started: datetime
    stopped: datetime
    """The start if the execution still runs."""
    events: list[str] = field(default_factory=list)
    """The ids of the events that it put."""
    children: list[str] = field(default_factory=list)
    """The ARNs of the executions that it started."""
    transitions: int = 0
    """As Step Functions bills them: states entered, and redrives."""
    failure: str = ""
    """Error and cause if it failed, else empty."""

    @property
    def seconds(self) -> float:
        return (self.stopped - self.started).total_seconds()

    def answer(self, state: str) -> dict[str, Any]:
        """The answer of the function behind `$.<state>`; empty if that state was not entered."""
        return dict(self.output.get(state, {}).get("answer", {}))

    @property
    def is_good(self) -> bool:
        return self.status == "SUCCEEDED"


def executions(
    states: Any, names: WorkloadNames, *, limit: int | None = None, machines: Sequence[str] = MACHINES
) -> list[Execution]:
    """The `limit` newest executions of each machine of the workload (all for None), the oldest first.

    It takes one call for each execution and one for each machine. `states` is boto3's Step Functions client.
    Raises EnvironmentNotFoundError if none of the machines is deployed."""
    pages = {machine: some for machine in machines if (some := list_executions(states, names, machine)) is not None}
    if not pages:
        raise not_deployed(names)
    # `islice` stops the listing after `limit`, so that no further page is fetched.
    found = [_execution(states, machine, each) for machine, some in pages.items() for each in islice(some, limit)]
    return sorted(found, key=lambda execution: execution.started)


def list_executions(
    states: Any, names: WorkloadNames, machine: str, *, status: str = ""
) -> Iterator[dict[str, Any]] | None:
    """The executions as Step Functions lists them, newest first, page by page; None if there is no such machine."""
    parameters = {"stateMachineArn": names.machine_arn(machine), **({"statusFilter": status} if status else {})}
    pages = iter(states.get_paginator("list_executions").paginate(**parameters))
    try:
        # The first page is fetched here, so that a machine that does not exist shows now and not in the caller's loop.
        first: Any = next(pages, {"executions": []})
    except states.exceptions.StateMachineDoesNotExist:
        return None
    return (each for page in chain([first], pages) for each in page["executions"])


def not_deployed(names: WorkloadNames) -> EnvironmentNotFoundError:
    """The error for a workload without machines."""
    return EnvironmentNotFoundError(
        f"expected the machines of {names.prefix} in this account and region, got none: {names.workload} is not "
        f"deployed at stage {names.platform.stage}; `{_deploy(names)}` does that"
    )


def require_deployed(states: Any, names: WorkloadNames) -> None:
    """Raise EnvironmentNotFoundError if the workload has no machines. A caller who may not list them passes."""
    try:
        is_there = list_executions(states, names, "ingest") is not None
    except ClientError:
        return
    if not is_there:
        raise not_deployed(names)


def _deploy(names: WorkloadNames) -> str:
    if names.platform.stage == "local":
        return f"millrace up --workload {names.workload}"
    return f"cdk deploy --all -c stage={names.platform.stage} -c workloads={names.workload}"


def read_history(states: Any, arn: str) -> list[dict[str, Any]]:
    """The events of an execution's history, in order."""
    pages = states.get_paginator("get_execution_history").paginate(executionArn=arn)
    return [event for page in pages for event in page["events"]]


def put_events(history: list[dict[str, Any]]) -> list[str]:
    """The ids of the events that the execution put on a bus."""
    answers = [
        event["taskSucceededEventDetails"]
        for event in history
        if event.get("taskSucceededEventDetails", {}).get("resourceType") == "events"
    ]
    entries = [entry for answer in answers for entry in json.loads(answer["output"]).get("Entries", [])]
    return [entry["EventId"] for entry in entries if "EventId" in entry]


def started_executions(history: list[dict[str, Any]]) -> list[str]:
    """The ARNs of the executions that the execution started and waited for."""
    answers = [
        json.loads(event["taskSubmittedEventDetails"]["output"])
        for event in history
        if event.get("taskSubmittedEventDetails", {}).get("resourceType") == "states"
    ]
    return [answer["ExecutionArn"] for answer in answers if "ExecutionArn" in answer]


def _execution(states: Any, machine: str, listed: Mapping[str, Any]) -> Execution:
    history = read_history(states, listed["executionArn"])
    return Execution(
        machine=machine,
        arn=listed["executionArn"],
        name=listed["name"],
        status=listed["status"],
        input=_document(history, "executionStartedEventDetails", "input"),
        output=_document(history, "executionSucceededEventDetails", "output"),
        started=listed["startDate"],
        stopped=listed.get("stopDate") or listed["startDate"],
        events=put_events(history),
        children=started_executions(history),
        transitions=sum(event["type"].endswith(("StateEntered", "ExecutionRedriven")) for event in history),
        failure=_failure(listed["status"], history),
    )


def _document(history: list[dict[str, Any]], details: str, name: str) -> dict[str, Any]:
    """The input or output in the first event with these details; empty if no event has them."""
    texts = [event[details].get(name) for event in history if details in event]
    return dict(json.loads(texts[0] or "{}")) if texts else {}


def _failure(status: str, history: list[dict[str, Any]]) -> str:
    """Error and cause of the last attempt; empty if the execution runs, or has succeeded after a redrive."""
    names = ("executionFailedEventDetails", "executionTimedOutEventDetails", "executionAbortedEventDetails")
    found = [event[name] for event in history for name in names if name in event]
    if not found or status in ("RUNNING", "SUCCEEDED"):
        return ""
    return failure_of(found[-1].get("error") or "", found[-1].get("cause") or "")
