"""Start a run by hand, also one that judges an external model; start it again, or redrive it from the failed step."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Protocol

from millrace.artefact import external
from millrace.artefact.artefact import Digests
from millrace.artefact.external import ExternalModel
from millrace.artefact.inference import Model
from millrace.aws.objects import split_uri
from millrace.console.presenters.remedy import UNHEALED
from millrace.console.queries.executions import Execution, answer, error_type, is_of_child, is_of_function, trained_for
from millrace.console.queries.runs import (
    SHORT,
    Run,
    RunDetail,
    describe_run,
    find_run,
    input_of,
    list_runs,
    parent_of,
    read_execution,
)
from millrace.console.stages import command
from millrace.contract.load import load_contract
from millrace.errors import EnvironmentNotFoundError, RunError
from millrace.messages.execution import FAILURES
from millrace.messages.train import BudgetChecked, BudgetRefusal
from millrace.names import WorkloadNames
from millrace.release.askers import STARTED_BY
from millrace.state.claims import Start
from millrace.tasks import catalogue as tasks
from millrace.workload.load import load_workload

COMMAND = "command"
"""The `cause` of a run that a person started."""


def start(
    states: Any,
    names: WorkloadNames,
    machine: str,
    *,
    as_of: datetime | None = None,
    more: Mapping[str, Any] | None = None,
    name: str = "",
) -> Run:
    """The run that was started. `as_of` is the moment that the run counts as now; without it that is its start.

    `more` are further fields of the machine's input. No two runs have the same `name`; without it the run gets one of
    its own. `states` is boto3's Step Functions client.
    Raises EnvironmentNotFoundError if the machine is not deployed, and RunError if a run has the name."""
    given = {"cause": COMMAND, **({"as_of": as_of.isoformat()} if as_of else {}), **(more or {})}
    named = {"name": name} if name else {}
    try:
        started_execution = states.start_execution(
            stateMachineArn=names.machine_arn(machine), input=json.dumps(given), **named
        )
    except states.exceptions.ExecutionAlreadyExists:
        raise RunError(f"{machine} {name}: expected no run of this name, one was started before") from None
    except states.exceptions.StateMachineDoesNotExist:
        raise EnvironmentNotFoundError(
            f"expected the machine {names.machine(machine)}, got none: is it deployed?"
        ) from None
    arn = started_execution["executionArn"]
    return Run(
        arn=arn,
        machine=machine,
        name=arn.rpartition(":")[2],
        status="RUNNING",
        started=started_execution["startDate"],
        stopped=None,
        redrives=0,
    )


ADVICE = {
    "RUNNING": "wait for its end, or stop it first",
    "SUCCEEDED": "only what failed can go on; `millrace rerun {run} --new` starts a new run with the same input",
}
"""What to do about a run that cannot be redriven, by its status."""
REREAD = ("ConfigurationError", "WorkloadError", "SettingsError", "SnapshotError")
"""A function that ended with one of these errors reads the declaration and the rows anew when it is redriven. A job
reads what its run has pinned, so it fails again."""
READS_NOW = (
    "the step reads the deployed declaration and the rows as they are now: unless they were mended, it fails again"
)
NEW = "`millrace rerun {run} --new` starts a new run with the same input"
"""What to do about a run that cannot be redriven for any other reason."""


@dataclass(frozen=True, kw_only=True)
class Rerun:
    """The result of a rerun."""

    arn: str
    """The ARN of the run that goes on or was started."""
    how: Literal["redriven", "started"]
    notes: list[str]
    """Warnings for the operator."""


def redrive(states: Any, run: Run, *, keep_definition: bool = False) -> Rerun:
    """Let the run go on from the step that failed, with its own definition and input.

    Raises RunError if Step Functions would not redrive it. Raises RunError too if the machine's definition has changed
    since the run began, unless `keep_definition` says that the old definition is meant. `states` is boto3's Step
    Functions client."""
    short = run.name[:SHORT]
    described = states.describe_execution(executionArn=run.arn)
    if described.get("redriveStatus") != "REDRIVABLE":
        advice = ADVICE.get(described["status"], NEW).format(run=short)
        reason = described.get("redriveStatusReason") or f"Execution is {described['status']} and cannot be redriven"
        raise RunError(f"{run.machine} {short}: {reason}: {advice}")
    if _definition_changed(states, run) and not keep_definition:
        raise RunError(
            f"{run.machine} {short}: the machine's definition has changed since it began, and a redrive keeps the one "
            f"it began with: {NEW.format(run=short)} and the new definition, --keep-definition redrives it as it was"
        )
    # `described` was read before the redrive: its error and cause are those of the failure.
    states.redrive_execution(executionArn=run.arn)
    return Rerun(arn=run.arn, how="redriven", notes=_notes(states, run, described))


def start_again(states: Any, run: Run) -> Rerun:
    """Start a new run of the same machine, as it is defined now, with the input of the old run.

    A new release begins now: its lease and its audit records carry its own time.
    Raises RunError while the old run runs."""
    if run.status == "RUNNING":
        raise RunError(f"{run.machine} {run.name[:SHORT]}: Execution is RUNNING: {ADVICE['RUNNING']}")
    given = input_of(states, run.arn)
    # A person may have started the old run with any JSON as its input.
    if isinstance(given, dict):
        given.pop(STARTED_BY, None)  # no parent waits for the new one
        if run.machine == "release":
            given.pop("as_of", None)
    machine = states.describe_execution(executionArn=run.arn)["stateMachineArn"]
    arn = states.start_execution(stateMachineArn=machine, input=json.dumps(given))["executionArn"]
    return Rerun(arn=arn, how="started", notes=[])


def _definition_changed(states: Any, run: Run) -> bool:
    """Whether the machine is defined otherwise now than when the run began."""
    own = states.describe_state_machine_for_execution(executionArn=run.arn)
    now = states.describe_state_machine(stateMachineArn=own["stateMachineArn"])
    return bool(json.loads(own["definition"]) != json.loads(now["definition"]))


def _notes(states: Any, run: Run, described: Any) -> list[str]:
    """Warnings about what a redrive does not change: a failure that will repeat, and a parent run that failed too."""
    cause = described.get("cause") or ""
    kind = error_type(described.get("error") or "", cause)
    reread = kind in REREAD and is_of_function(cause)
    notes = (
        [f"{kind}: {READS_NOW if reread else UNHEALED[kind]}"] if kind in UNHEALED and not is_of_child(cause) else []
    )
    given = json.loads(described.get("input") or "{}")
    if not isinstance(given, dict) or STARTED_BY not in given:
        return notes
    parent = parent_of(given)
    status = states.describe_execution(executionArn=parent)["status"]
    if status in ("RUNNING", "SUCCEEDED"):
        return notes
    waited = f"{parent.rpartition(':')[2]}, which waited for {run.name}, stays {status}"
    return [*notes, f"{waited}; redriven itself it starts a new {run.machine}"]


def read_model(folder: Path, workload: Path) -> ExternalModel:
    """The model in `folder`, checked against the declaration and the contract in the folder `workload`.

    Raises RunError if there is no such folder, and ArtefactError for a graph that the machine would refuse too. What
    only rows can show is checked by the machine."""
    if not folder.is_dir():
        raise RunError(f"FOLDER: expected a folder with {external.GRAPH} and {external.SIGNATURE}, got {folder}")
    declared, contract = load_workload(workload), load_contract(workload)
    found = external.read(folder)
    task = tasks.declare(declared.prediction, contract.label)
    features = external.features_of(found, declared, contract)
    external.check_output(found, task)
    label = declared.prediction.label
    # Loads the graph as an endpoint would; the session itself is not needed.
    Model(external.artefact_of(found, features=features, task=task, label=label, links=Digests()))
    return found


def register(s3: Any, states: Any, names: WorkloadNames, model: ExternalModel, *, as_of: datetime | None = None) -> Run:
    """Start the run that judges the model. `s3` and `states` are boto3's clients.

    The model lies below its digest, so the same model is always at the same place."""
    uri = names.external_model_uri(model.digest)
    for name, content in model.contents.items():
        bucket, key = split_uri(f"{uri}{name}")
        s3.put_object(Bucket=bucket, Key=key, Body=content)
    return start(states, names, "train", as_of=as_of, more={"external_model": {"uri": uri, "digest": model.digest}})


class Named(Protocol):
    """A run that is to be followed."""

    @property
    def machine(self) -> str: ...
    @property
    def name(self) -> str: ...


WATCHES = ("Watch ", "A version climbs")
"""How the states of a release begin in which a version gathers labels or traffic."""
OPEN = ("RUNNING", "PENDING_REDRIVE")
"""Statuses of a run that has not ended."""


@dataclass(frozen=True, kw_only=True)
class Follower:
    """Polls runs until they have ended."""

    states: Any
    """boto3's Step Functions client."""
    names: WorkloadNames
    moving: Callable[[str, str], None] = lambda _, __: None
    """Called with a short status, which the next one replaces, and the name of the training job that runs, if any."""
    said: Callable[[str], None] = lambda _: None
    """Called with a line that stays on the screen."""
    poll_s: float = 1.0
    """Seconds between two looks."""
    grace_s: float = 5.0
    """How long to wait for a run that an event starts, in seconds."""
    limit_s: float = 24 * 3600.0
    """How long to wait for the end of one run, in seconds."""

    def wait_for(self, find: Callable[[], Named | None], *, limit_s: float) -> Run:
        """The run that `find` names, as soon as it exists. Raises RunError if that takes more than `limit_s`
        seconds."""
        end = time.monotonic() + limit_s
        while True:
            with suppress(RunError):  # the intake notes a run, then starts it
                if named := find():
                    return find_run(self.states, self.names, self.names.execution_arn(named.machine, named.name))
            if time.monotonic() > end:
                raise RunError(
                    f"expected a run within {limit_s:.0f} s, got none: the intake starts it when a slot is free, "
                    f"one that scores once a model is live, and puts what is no drop on "
                    f"{self.names.queue('drops')}-dead"
                )
            self.moving("waiting for the intake", "")
            time.sleep(self.poll_s)

    def run_of_drop(self, find: Callable[[], Start | None], drop_id: str, *, limit_s: float) -> Run:
        """The run that works on the drop, as `find` names it.

        If a run that has several drops fails, the intake starts a run for each drop. Then the drop's own run is
        returned.
        Raises RunError as `wait_for` does."""
        # The run of a single drop has the drop's id as its name. A run with another name has several drops.
        run = self.wait_for(find, limit_s=limit_s)
        if run.name == drop_id or self.end_of(run.arn).run.status not in FAILURES:
            return run

        def find_own() -> Start | None:
            found = find()
            return found if found and found.name == drop_id else None

        return self.wait_for(find_own, limit_s=limit_s)

    def follow(self, arn: str) -> Iterator[RunDetail]:
        """The run when it has ended, then each run that it caused, and so on.

        A first training may be needless because another training has begun. That other training is followed then."""
        # A walk in breadth over the runs. `known` has each run that was ever queued, so that none is followed twice.
        waiting = [arn]
        known = set(waiting)
        while waiting:
            detail = self.end_of(waiting.pop(0))
            yield detail
            fresh = [each for each in (*self._children(detail), *self._instead(detail)) if each not in known]
            known.update(fresh)
            waiting.extend(fresh)

    def end_of(self, arn: str) -> RunDetail:
        """The run when it has ended; raises RunError if it has not ended within the follower's `limit_s`."""
        run = find_run(self.states, self.names, arn)
        end, told = time.monotonic() + self.limit_s, set[str]()
        while run.status in OPEN:
            if time.monotonic() > end:
                raise RunError(f"{run.machine} {run.name}: expected its end within {self.limit_s:.0f} s, it still runs")
            state, job = self._state(arn)
            self.moving(f"{run.machine}: {state}".removesuffix(": "), job)
            if state.startswith(WATCHES) and state not in told:
                told.add(state)
                look = f"`{command(self.names, 'versions')}` says how it stands; Ctrl-C ends this waiting alone"
                self.said(f"release {run.name[:SHORT]} is at {state!r}, for hours or weeks: {look}")
            time.sleep(self.poll_s)
            run = find_run(self.states, self.names, arn)
        return describe_run(self.states, self.names, run)

    def _children(self, detail: RunDetail) -> list[str]:
        """The ARNs of the runs that this run caused. Runs that an event starts get `grace_s` to appear."""
        # EventBridge starts the next run some time after the event was put. So a run that put an event is described
        # again until a child appears or the grace is over.
        puts = any(step.call and step.call.service == "events" for step in detail.steps)
        end = time.monotonic() + (self.grace_s if puts else 0)
        while not detail.children and time.monotonic() < end:
            self.moving(f"what follows from {detail.run.machine}", "")
            time.sleep(self.poll_s)
            detail = describe_run(self.states, self.names, detail.run)
        return detail.children

    def _instead(self, detail: RunDetail) -> Iterator[str]:
        """The ARN of the training that made this one needless, if there is one."""
        if other := training_instead(self.states, self.names, detail.execution):
            self.said(f"follows train {other.name[:SHORT]}, whose model is the first")
            yield other.arn

    def _state(self, arn: str) -> tuple[str, str]:
        """The name of the state that the run entered last, and of the training job that it scheduled; empty if none."""
        events = self.states.get_execution_history(executionArn=arn, reverseOrder=True, maxResults=50)["events"]
        job = ""
        for event in events:
            if scheduled := event.get("taskScheduledEventDetails"):
                job = job or str(json.loads(scheduled["parameters"]).get("TrainingJobName", ""))
            if entered := event.get("stateEnteredEventDetails"):
                return entered["name"], job
        return "", job


LOOKED_AT = 20
"""How many of the newest trainings are looked through. Each file that arrives during the first training starts a run
that does not train."""


def training_instead(states: Any, names: WorkloadNames, execution: Execution) -> Run | None:
    """The training because of which this first training did not start; None if the execution is not such a run.

    That training was still running, or its version was being released. `states` is boto3's Step Functions client."""
    budgeted = answer(execution, "budget", BudgetChecked)
    in_the_way = budgeted is not None and budgeted.reason in (BudgetRefusal.BUSY, BudgetRefusal.RELEASE)
    if execution.machine != "train" or trained_for(execution) != "first" or not in_the_way:
        return None
    # Newest first. The first run that began before this one ended and that was not itself refused is the one that
    # trained. A run without an answer of `budget` yet may still train.
    for run in list_runs(states, names, machine="train", limit=LOOKED_AT):
        if run.arn != execution.arn and run.started <= execution.stopped:
            budgeted = answer(read_execution(states, run), "budget", BudgetChecked)
            if budgeted is None or budgeted.accepted:
                return run
    return None
