"""`millrace up`, `down`, `restore`, `clock`: begin and end a local cloud, move its time; end a stage, bring it back."""

from __future__ import annotations

import re
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from millrace.console.cli.options import Build, Json, Stage, chosen_folders, flag, several_workloads
from millrace.console.cli.printing import show_json, show_rows
from millrace.console.stages import command
from millrace.errors import RunError
from millrace.timestamps import format_utc
from millrace.workload.load import workload_folders, workloads_folder

if TYPE_CHECKING:
    from millrace.console.cli.follow import EndedRun
    from millrace.console.environment import Environment
    from millrace.console.local_cloud.instance import Instance
    from millrace.console.local_cloud.local_cloud import LocalCloud
    from millrace.console.queries.plan import PlannedStep
    from millrace.console.queries.runs import Run
    from millrace.names import WorkloadNames


UNSET = ("AWS_PROFILE", "AWS_SESSION_TOKEN")
"""Variables of the shell that would mix another account's credentials with those of the local cloud."""

Empty = Annotated[bool, flag("--empty", "Only the cloud: nothing is bootstrapped or deployed.")]
Export = Annotated[bool, flag("--export", 'Print only what `eval "$(…)"` takes.')]

Workloads = Annotated[
    list[str] | None,
    several_workloads(
        "all",
        "Deploy this folder of workloads/ only; may be repeated. Workloads that are deployed already stay.",
    ),
]
Removed = Annotated[
    list[str] | None,
    several_workloads(
        "the whole stage",
        "Remove this workload alone, also one whose folder is gone; may be repeated.",
    ),
]

Yes = Annotated[bool, flag("--yes", "Without a confirmation; of a stage on AWS run `cdk destroy` too.")]
Unasked = Annotated[bool, flag("--yes", "Start the trainings that edits lead to, without a question.")]


def up(build: Build, empty: Empty, export: Export, as_json: Json, yes: Unasked, workload: Workloads = None) -> None:
    """Start a local cloud in the background, deploy the app, and print the variables to export.

    A second `up` finds the first and deploys what has changed since in the app. Where a model was trained before an
    edit that it needs, it tells what a training takes, and asks whether to start it.
    Example: eval "$(millrace up --export)"; aws stepfunctions list-state-machines; millrace down."""
    from millrace.console.local_cloud.lifecycle import start_instance

    # Wrong names, and contracts that the running cloud's tables do not take, are refused before anything is started.
    folders = chosen_folders(workload)
    steps = [] if empty else _plan(build, folders)
    # `eval "$(millrace up --export)"` runs what is on stdout, so everything else goes to stderr.
    said = partial(print, file=sys.stderr)
    instance = start_instance(build, is_empty=empty, said=said, workloads=workload or ())
    if not empty:
        from botocore.exceptions import BotoCoreError

        from millrace.aws.workload_stacks import warnings_without_folder
        from millrace.console.local_cloud.local_cloud import PLATFORM

        # The cloud is up and deployed: a shell that names a profile which does not exist gets no warning, but no error.
        with suppress(BotoCoreError):
            cloudformation = instance.cloud.client("cloudformation")
            for warning in warnings_without_folder(cloudformation, PLATFORM, workloads_folder()):
                said(warning)
        _train(instance, steps, said, unasked=yes)
    if as_json:
        url = instance.cloud.endpoint_url
        show_json({"endpoint_url": url, "pid": instance.pid, "environment": instance.environment})
        return
    print(f"unset {' '.join(UNSET)}")
    for name, value in instance.environment.items():
        print(f"export {name}={shlex.quote(value)}")
    if not export:
        print(_next(instance, empty=empty, workloads=workload or ()))


def _plan(build: Path, folders: Sequence[Path]) -> list[PlannedStep]:
    """What the edits since the trainings of the running cloud lead to; nothing if none runs.

    Raises RunError if its tables do not take a contract. Each drop would fail."""
    from millrace.console.environment import local_environment
    from millrace.console.local_cloud.instance import find_instance
    from millrace.console.queries.plan import plan_deployed

    if (instance := find_instance(build)) is None:
        return []
    steps = plan_deployed(local_environment(instance.cloud), folders, {})
    for step in (one for one in steps if one.step == "refused"):
        raise RunError("; ".join(step.because))
    return steps


def _train(instance: Instance, steps: Sequence[PlannedStep], said: Callable[[str], None], *, unasked: bool) -> None:
    """Start the trainings that edits lead to, those that a person agrees to; without a terminal tell the command.

    Before, say which tables are to be rewritten."""
    from millrace.console.actions.start import start
    from millrace.console.environment import local_environment

    environment = local_environment(instance.cloud)
    for step in (one for one in steps if one.step == "rewrite"):
        said("; ".join(step.because))
    for step in (one for one in steps if one.step == "retrain"):
        names = environment.names(step.workload)
        said(f"{step.workload}: the live version was trained before {'; '.join(step.because)}")
        question = f"Train {step.workload} again ({step.work})?"
        if unasked or (sys.stdin.isatty() and typer.confirm(question, err=True)):
            said(f"train {start(environment.client('stepfunctions'), names, 'train').name} started")
        else:
            said(f"{question} {command(names, 'train')}")


def down(stage: Stage, build: Build, yes: Yes, workload: Removed = None) -> None:
    """End the local cloud of `millrace up` with all its processes and remove its files: rows, models, decisions, runs.

    It says what will be lost and wants a confirmation: from a terminal, or by --yes. For another stage it deletes
    the resources that CloudFormation does not manage, then the stacks; data and audit are retained. With --workload it
    does so for this workload alone, in the local cloud too; the other workloads stay.
    Example: millrace down; millrace down --workload income. On AWS: millrace down --stage dev --yes."""
    if workload:
        _remove(stage, build, workload, unasked=yes)
        return
    if stage != "local":
        _tear_down(stage, build, unasked=yes)
        return
    from millrace.console.local_cloud.instance import find_instance
    from millrace.console.local_cloud.lifecycle import end_instance

    if (instance := find_instance(build)) and not yes:
        _confirm(_loss(instance))
    end_instance(build, print)


def _tear_down(stage: str, build: Path, *, unasked: bool) -> None:
    from millrace.console.actions.teardown import teardown
    from millrace.console.environment import find_environment

    environment = find_environment(stage, build)
    where = f"{environment.platform.prefix} in account {environment.platform.account}, {environment.platform.region}"
    if not unasked:
        _confirm(f"This ends every endpoint, job and schedule of {where}.")
    teardown(environment, said=print, destroys=unasked)


def restore(
    stage: Stage,
    build: Build,
    as_json: Json,
    plan: Annotated[bool, typer.Option("--plan", help="Only say what is missing.")] = False,
    backup_of: Annotated[str, typer.Option(help="When a backup was made that you brought back, ISO 8601.")] = "",
) -> None:
    """Make a stage whole again that was deleted but for its buckets: tables, model versions, the live endpoint.

    `make adopt` and `cdk deploy` come before it. What stands already is left; where something else stands it refuses.
    Who was erased since the backup is erased again. A second call goes on where the first one ended.
    Example: millrace restore --stage dev --plan"""
    from millrace.console.actions.restore import deleted_at, find_missing, restore
    from millrace.console.cli.follow import follow, require_success, when
    from millrace.console.environment import find_environment

    environment, began = find_environment(stage, build), time.monotonic()
    # Of all workloads, before anything is made: the first one that something stands in the way of ends the command.
    at = when(backup_of, "--backup-of") or deleted_at(environment)
    found = [find_missing(environment, names, at) for names in environment.deployed()]
    rows = [row for one in found for row in one.rows]
    show_rows(rows, as_json=as_json, nothing="Nothing is missing.")
    if plan or not rows:
        return
    said = partial(print, file=sys.stderr)
    for names, release in [(one.names, restore(environment, one, at, said=said)) for one in found]:
        if release:
            require_success(names, follow(environment, names, release, said=not as_json))
    if at is not None:
        said(f"The state is of {format_utc(at)}: nothing before is lost.")
    elif any(one.pointers for one in found):
        said("Lost: the state, but for what is live: reviews and drops that waited, budgets, positions in feeds.")
    said("Lost: messages that waited in queues, among them decisions of the last minute; executions, and their logs.")
    said(f"Restored in {time.monotonic() - began:.0f} s.")


def _remove(stage: str, build: Path, workloads: Sequence[str], *, unasked: bool) -> None:
    from millrace.console.actions.teardown import find_removable, remove
    from millrace.console.environment import find_environment

    environment = find_environment(stage, build)
    found = find_removable(environment, workloads)
    prefixes, platform = ", ".join(names.prefix for names in found), environment.platform
    if not unasked:
        _confirm(
            f"This ends every endpoint, job and schedule of {prefixes} in account {platform.account}, "
            f"{platform.region}, and deletes its models and stacks; rows, decisions and audit stay."
        )
    remove(environment, found, said=print)
    for folder in [folder for folder in workload_folders(workloads_folder()) if folder.name in workloads]:
        print(f"{folder}/ is still there: the next deployment of all workloads deploys {folder.name} again")


def _loss(instance: Instance) -> str:
    """A sentence on what is lost with the local cloud."""
    from millrace.console.environment import local_environment

    deployed = [names.workload for names in local_environment(instance.cloud).deployed()]
    whose = f" of {', '.join(deployed)}" if deployed else ""
    return (
        f"This ends the local cloud, process {instance.pid}, and removes {instance.folder}: all rows, models, "
        f"decisions and runs{whose}."
    )


def _confirm(loss: str) -> None:
    """Returns if a person agrees, and ends the command if not. Raises RunError if standard input is no terminal."""
    if not sys.stdin.isatty():
        raise RunError(f"{loss} Expected --yes, since the standard input is no terminal")
    typer.confirm(f"{loss} Go on?", abort=True, err=True)


def _next(instance: Instance, *, empty: bool, workloads: Sequence[str]) -> str:
    """The next commands, as text: for these workloads, or for all that are deployed."""
    from millrace.console.environment import local_environment
    from millrace.state.pointers import ReleasePointers
    from millrace.state.table import StateTable

    environment = local_environment(instance.cloud)
    # An empty cloud lacks the bootstrap, which comes before the deployment.
    if empty:
        lines = ["cdk bootstrap", "cdk deploy --all"]
    else:
        drops = instance.folder.parent / "drops"
        lines = []
        for names in environment.deployed():
            if workloads and names.workload not in workloads:
                continue
            # A workload without a live model needs rows first.
            if ReleasePointers(StateTable(environment.client("dynamodb"), names)).champion() is None:
                lines += _first_drop(names, drops)
            lines.append(command(names, "runs"))
    return "\n".join(["", "Then, for example:", *(f"  {line}" for line in [*lines, "millrace down"])])


def _first_drop(names: WorkloadNames, drops: Path) -> Iterator[str]:
    """The command that drops the workload's sample, or the drops of its proposal; none if it has neither."""
    sample, proposed = workloads_folder() / names.workload / "sample", drops / names.workload / "training"
    if sample.is_dir():
        landing = f"s3://{names.platform.bucket('landing')}/{names.workload}/training/"
        yield shlex.join(["aws", "s3", "cp", "--recursive", str(sample), landing])
    elif proposed.is_dir():
        drop = f'millrace drop "$piece" --workload {names.workload} --feed training --wait'
        yield f"for piece in {shlex.quote(str(proposed))}/*; do {drop}; done"


FORWARD = re.compile(r"(?:\d{1,4}[hdw])+")
PART = re.compile(r"(\d+)([hdw])")
UNITS = {"h": "hours", "d": "days", "w": "weeks"}
STEP = timedelta(days=1)
"""The clock stops after each day until all has ended that was due: so an alarm of one day is answered on that day."""
REST_S = 900.0
"""The longest that all which was due on a day may take, in seconds."""
TOLD_S = 5.0
"""Seconds after which a line says what is waited for, and between two such lines."""


def clock(
    build: Build,
    as_json: Json,
    forward: Annotated[str, typer.Option(metavar="TIME", help="How far, such as 12h, 5d3h or 4w.")] = "",
) -> None:
    """Show the clock of the local cloud, or move it forward: monitors and other schedules run when they are due.

    Example: millrace clock --forward 30d. It stops after each day until all has ended that was due. A clock never goes
    back, and that of a stage on AWS cannot be moved."""
    from millrace.console.environment import find_environment

    environment = find_environment("local", build)
    assert environment.cloud is not None
    before = environment.now()
    target = _target(before, forward)
    seen, ended = {*_runs(environment)}, list[dict[str, Any]]()
    if not as_json:
        typer.echo(f"{before:%Y-%m-%d %H:%M} UTC is the local cloud's time")
    while target and environment.now() < target:
        _move(environment.cloud, min(environment.now() + STEP, target))
        for names, run in [pair for arn, pair in _runs(environment).items() if arn not in seen]:
            seen.add(run.arn)
            found = _ended(environment, names, run)
            ended.append({"workload": names.workload, **found.as_json()})
            if not as_json:
                _tell(names, found)
    if as_json:
        show_json({"before": before, "now": environment.now(), "ended": ended})
    elif target:
        due = f"{len(ended)} runs have ended" if ended else "no run was due"
        typer.echo(f"{environment.now():%Y-%m-%d %H:%M} UTC: {due}")
        for line in environment.cloud.retries():
            typer.secho(f"warning: {line}", fg="yellow")


def _target(now: datetime, forward: str) -> datetime | None:
    """The time to move to; None if the clock is only to be shown. Raises RunError for what is no time."""
    if not forward:
        return None
    if FORWARD.fullmatch(forward) is None:
        raise RunError(f"--forward: expected hours, days or weeks such as 12h, 5d3h or 4w, got {forward!r}")
    return now + sum((timedelta(**{UNITS[unit]: int(count)}) for count, unit in PART.findall(forward)), timedelta())


def _move(cloud: LocalCloud, to: datetime, *, told_s: float = TOLD_S) -> None:
    """Move the clock, and wait until all has ended that was due. A line says what is waited for.

    What a consumer did not take comes again by the clock: nobody waits for that here."""
    from rich.console import Console
    from rich.text import Text

    told = time.monotonic()

    def busy(moving: list[str]) -> None:
        nonlocal told
        shown.update(Text(f"{to:%Y-%m-%d}: {', '.join(moving)}"))
        if not screen.is_terminal and time.monotonic() - told > told_s:
            told = time.monotonic()
            typer.echo(f"{to:%Y-%m-%d}: waits for {', '.join(moving)}", err=True)

    screen = Console(stderr=True)
    with screen.status(f"{to:%Y-%m-%d}") as shown:
        cloud.move_clock(to)
        cloud.wait(timeout_s=REST_S, busy=busy, retries=False)


def _runs(environment: Environment) -> dict[str, tuple[WorkloadNames, Run]]:
    """The runs of all deployed workloads by ARN, the oldest first."""
    from millrace.console.queries.runs import list_runs

    states = environment.client("stepfunctions")
    found = [(names, run) for names in environment.deployed() for run in list_runs(states, names)]
    return {run.arn: (names, run) for names, run in sorted(found, key=lambda pair: pair[1].started)}


def _ended(environment: Environment, names: WorkloadNames, run: Run) -> EndedRun:
    from millrace.console.cli.follow import EndedRun, outcome_of
    from millrace.console.queries.runs import describe_run

    detail = describe_run(environment.client("stepfunctions"), names, run)
    return EndedRun(detail=detail, outcome=outcome_of(environment, names, detail.execution))


def _tell(names: WorkloadNames, ended: EndedRun) -> None:
    from millrace.console.cli.follow import line_of

    typer.echo(f"{ended.detail.run.started:%Y-%m-%d %H:%M} {names.workload}: {line_of(names, ended)}")
    if ended.outcome.warning:
        typer.secho(f"warning: {ended.outcome.warning}", fg="yellow")
