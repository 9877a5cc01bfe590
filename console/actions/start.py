"""Start a run by hand, also one that judges an external model; start it again, or redrive it from the failed step."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from millrace.artefact import external
from millrace.artefact.artefact import Digests
from millrace.artefact.external import ExternalModel
from millrace.artefact.inference import Model
from millrace.aws.objects import split_uri
from millrace.console.presenters.remedy import UNHEALED
from millrace.console.queries.executions import error_type, is_of_child, is_of_function
from millrace.console.queries.runs import SHORT, Run, input_of, parent_of
from millrace.contract.load import load_contract
from millrace.errors import EnvironmentNotFoundError, RunError
from millrace.names import WorkloadNames
from millrace.release.askers import STARTED_BY
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
    more = {"external_model": {"uri": uri, "digest": model.digest}}
    return start(states, names, "train", as_of=as_of, more=more)
