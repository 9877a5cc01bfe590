"""The runs of a workload: list them, find one by a part of its name, and describe one in full."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from millrace.console.environment import Environment
from millrace.console.queries.executions import (
    Execution,
    failure_of,
    list_executions,
    not_deployed,
    put_events,
    read_history,
    started_executions,
)
from millrace.console.queries.steps import Step, read_steps
from millrace.console.words import first_few
from millrace.errors import RunError
from millrace.names import EVERY_MACHINE, MACHINES, TUNE, WorkloadNames
from millrace.release.askers import STARTED_BY
from millrace.state.claims import Claims
from millrace.state.table import StateTable

STATUSES = ("RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED")
"""The statuses that runs can be listed by."""
SHORT = 8
"""How many characters of a run's name are shown at least."""
SHOWN = 5
"""How many runs an error names if a prefix fits several."""

DROP_ID = re.compile("[0-9a-f]{64}")
"""A SHA-256 in hexadecimal digits."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One execution of a machine of the workload."""

    arn: str
    machine: str
    name: str
    status: str
    started: datetime
    stopped: datetime | None
    redrives: int
    """How often the run was redriven."""

    @property
    def seconds(self) -> float | None:
        """Seconds from its start to its last end; None while it runs."""
        return (self.stopped - self.started).total_seconds() if self.stopped else None


@dataclass(frozen=True, kw_only=True)
class RunDetail:
    """One run in full."""

    run: Run
    input: Any
    output: Any
    """None while it runs, and if it failed."""
    error: str
    cause: str
    redrivable: bool
    why_not_redrivable: str
    """In the service's words; empty if it can be redriven."""
    steps: list[Step]
    parent: str
    """The ARN of the run that started it, or that put the event that did; empty if none did."""
    children: list[str]
    """The ARNs of the runs that it started itself or by an event."""

    @property
    def execution(self) -> Execution:
        """The same run with the answers of its states."""
        return _execution(self.run, given=self.input, output=self.output, error=self.error, cause=self.cause)


def list_runs(
    states: Any, names: WorkloadNames, *, machine: str = "", status: str = "", limit: int | None = None
) -> list[Run]:
    """The runs of one machine or of all machines, newest first. `states` is boto3's Step Functions client.

    Raises RunError if there is no such machine or status, EnvironmentNotFoundError if the workload is not deployed."""
    if machine and machine not in EVERY_MACHINE:
        raise RunError(f"--machine: expected one of {[*EVERY_MACHINE, TUNE]}, got {machine!r}")
    if status and status not in STATUSES:
        raise RunError(f"--status: expected one of {list(STATUSES)}, got {status!r}")
    machines = [machine] if machine else EVERY_MACHINE
    found = runs_by_machine(states, names, limit=limit, machines=machines, status=status)
    return sorted((run for runs in found.values() for run in runs), key=lambda run: run.started, reverse=True)[:limit]


def runs_by_machine(
    states: Any,
    names: WorkloadNames,
    *,
    limit: int | None,
    machines: Iterable[str] = EVERY_MACHINE,
    status: str = "",
) -> dict[str, list[Run]]:
    """The `limit` newest runs of each machine that is deployed, newest first. One call gives up to 100 of a machine.

    Raises EnvironmentNotFoundError if none of the machines is deployed."""
    # `limit` of each machine, since the newest of all may all be of one machine.
    found = {
        each: list(islice(runs, limit))
        for each in machines
        if (runs := _listed(states, names, each, status)) is not None
    }
    if not found:
        raise not_deployed(names)
    return found


def find_run(states: Any, names: WorkloadNames, word: str) -> Run:
    """The run with this ARN or name, or whose name begins with the word. Raises RunError unless it is exactly one."""
    if word.startswith("arn:"):
        return _described(states, names, word)
    runs = list_runs(states, names)
    # A whole name wins, even if it is the beginning of another name.
    found = [run for run in runs if run.name == word] or [run for run in runs if word and run.name.startswith(word)]
    if len(found) == 1:
        return found[0]
    if not found:
        raise RunError(f"RUN: expected the ARN, the name or the beginning of the name of a run, or the id of a drop of "
                       f"the last 30 days, got {word!r}; `millrace runs` lists them")  # fmt: skip
    named = [f"{run.machine} {run.name} ({run.status}, {run.started:%Y-%m-%d %H:%M})" for run in found]
    raise RunError(f"RUN: expected one run, {word!r} fits {len(found)}: {first_few(named, SHOWN, '; ')}")


def short_names(runs: list[Run]) -> dict[str, str]:
    """By ARN: the short name of the run among these runs."""
    names = {run.name for run in runs}
    return {run.arn: short_name(run.name, names - {run.name}) for run in runs}


def short_name(name: str, others: set[str]) -> str:
    """The shortest prefix of the name that none of the `others` has, of at least SHORT characters."""
    size = SHORT
    while size < len(name) and any(other.startswith(name[:size]) for other in others):
        size += 1
    return name[:size]


def input_of(states: Any, arn: str) -> Any:
    """The input of an execution."""
    return json.loads(states.describe_execution(executionArn=arn).get("input") or "{}")


def read_execution(states: Any, run: Run) -> Execution:
    """The run with the answers of its states. That is one call, so what the run put and started is not in it."""
    described = states.describe_execution(executionArn=run.arn)
    return _execution(
        _run(run.machine, described),
        given=json.loads(described.get("input") or "{}"),
        output=json.loads(described.get("output") or "{}"),
        error=described.get("error") or "",
        cause=described.get("cause") or "",
    )


def executions(
    states: Any, names: WorkloadNames, *, limit: int | None = None, machines: Sequence[str] = MACHINES
) -> list[Execution]:
    """The `limit` newest executions of each machine of the workload (all for None), the oldest first.

    It takes one call for each execution and one for each machine. `states` is boto3's Step Functions client.
    Raises EnvironmentNotFoundError if none of the machines is deployed."""
    found = runs_by_machine(states, names, limit=limit, machines=machines)
    read = (read_execution(states, run) for runs in found.values() for run in runs)
    return sorted(read, key=lambda execution: execution.started)


def _execution(run: Run, *, given: Any, output: Any, error: str, cause: str) -> Execution:
    """The run as an Execution. A run that a person started may have any JSON as its input and output."""
    return Execution(
        machine=run.machine,
        arn=run.arn,
        name=run.name,
        status=run.status,
        input=given if isinstance(given, dict) else {},
        output=output if isinstance(output, dict) else {},
        started=run.started,
        stopped=run.stopped or run.started,
        failure=failure_of(error, cause) if run.status not in ("RUNNING", "SUCCEEDED") else "",
    )


def describe_run(states: Any, names: WorkloadNames, run: Run) -> RunDetail:
    """The run with its states, its parent and its children."""
    described = states.describe_execution(executionArn=run.arn)
    given = json.loads(described.get("input") or "{}")
    history = read_history(states, run.arn)
    return RunDetail(
        run=_run(run.machine, described),
        input=given,
        output=json.loads(described["output"]) if "output" in described else None,
        error=described.get("error") or "",
        cause=described.get("cause") or "",
        redrivable=described.get("redriveStatus") == "REDRIVABLE",
        why_not_redrivable=described.get("redriveStatusReason") or "",
        steps=read_steps(history),
        parent=parent_of(given),
        children=[*started_executions(history), *_by_event(states, names, run, put_events(history))],
    )


def parent_of(given: Mapping[str, Any]) -> str:
    """The ARN of the run that started the run with this input, or that put the event that did; empty if none did."""
    detail = given.get("detail")
    return str(given.get(STARTED_BY) or (detail.get("run", "") if isinstance(detail, Mapping) else ""))


def _by_event(states: Any, names: WorkloadNames, run: Run, events: list[str]) -> list[str]:
    """The ARNs of the runs that one of the events started: EventBridge names an execution after its event."""
    found = []
    for machine in MACHINES if events else ():
        for each in _listed(states, names, machine, "") or ():
            # Newest first: what began before this run cannot have been caused by it.
            if each.started < run.started:
                break
            if each.name.startswith(tuple(events)):
                found.append(each.arn)
    return found


def _listed(states: Any, names: WorkloadNames, machine: str, status: str) -> Iterator[Run] | None:
    """The runs of a machine, newest first; None if there is no such machine."""
    found = list_executions(states, names, machine, status=status)
    return None if found is None else (_run(machine, each) for each in found)


def _described(states: Any, names: WorkloadNames, arn: str) -> Run:
    """The run with this ARN; raises RunError if it is not an execution of this workload."""
    machine = next((each for each in EVERY_MACHINE if arn.startswith(names.execution_arn(each, ""))), None)
    if machine is None:
        raise RunError(f"RUN: expected an execution of {names.execution_arn('<machine>', '<name>')}, got {arn}")
    try:
        return _run(machine, states.describe_execution(executionArn=arn))
    except states.exceptions.ExecutionDoesNotExist:
        raise RunError(f"RUN: expected an execution that is there, got {arn}; `millrace runs` lists them") from None


def _run(machine: str, described: Mapping[str, Any]) -> Run:
    return Run(
        arn=described["executionArn"],
        machine=machine,
        name=described["name"],
        status=described["status"],
        started=described["startDate"],
        stopped=described.get("stopDate"),
        redrives=int(described.get("redriveCount") or 0),
    )


def claims_of(environment: Environment, names: WorkloadNames) -> Claims:
    """The records of which run has which drop. A record is kept for 30 days."""
    return Claims(StateTable(environment.client("dynamodb"), names))


def find_run_or_drop(environment: Environment, names: WorkloadNames, word: str) -> tuple[Run, str]:
    """The run of this name, and an empty text; or the run that has the drop of this id, and the id.

    Raises RunError if the word is neither."""
    states = environment.client("stepfunctions")
    try:
        return find_run(states, names, word), ""
    except RunError:
        claim = claims_of(environment, names).find(word) if DROP_ID.fullmatch(word) else None
        if claim is None:
            raise
    return find_run(states, names, names.execution_arn(claim.machine, claim.name)), word
