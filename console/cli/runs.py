"""The commands on runs: `millrace runs`, `show`, `rerun`, `train`, `retrain`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from millrace.console.cli.options import Json, Target, machines
from millrace.console.cli.printing import show_json, show_rows
from millrace.errors import RunError
from millrace.names import EVERY_MACHINE, MACHINE_OF_FEED, TUNE
from millrace.timestamps import format_utc

if TYPE_CHECKING:
    from collections.abc import Mapping

    from millrace.console.environment import Environment
    from millrace.console.queries.runs import Run, RunDetail
    from millrace.console.queries.tunings import TuningJob
    from millrace.names import WorkloadNames

RunName = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="A run's ARN, its name, the beginning of its name that fits no other, or the id of a drop of its.",
    ),
]
Wait = Annotated[
    bool,
    typer.Option(
        "--wait", help="Come back when the run and all that it causes have ended; 1 if one failed or was refused."
    ),
]
FAILURE = 60
"""Most characters of a failure in the list. `millrace show` has all."""
AsOf = Annotated[
    str, typer.Option("--as-of", metavar="MOMENT", help="The moment that the run counts as now, with its offset.")
]


def runs(
    target: Target,
    json: Json,
    machine: Annotated[
        str,
        typer.Option(
            autocompletion=machines,
            help=f"{', '.join(EVERY_MACHINE)}; {TUNE} for searches by hand.",
        ),
    ] = "",
    status: Annotated[str, typer.Option(help="RUNNING, SUCCEEDED, FAILED, TIMED_OUT or ABORTED.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="So many at most.")] = 20,
) -> None:
    """List the runs of all machines of a workload with their outcomes, and searches by hand, newest first.

    Example: millrace runs --machine train --status failed"""
    from millrace.console.cli.follow import outcome_of
    from millrace.console.presenters.catalogue import outcome, run_title
    from millrace.console.queries.reviews import WaitingDrops, read_waiting
    from millrace.console.queries.runs import list_runs, read_execution, short_names
    from millrace.console.queries.stored import part
    from millrace.console.queries.tunings import list_tunings

    environment, names = target.find()
    states = environment.client("stepfunctions")
    listed = list_tunings(environment.client("sagemaker"), names, limit=limit) if machine in ("", TUNE) else []
    jobs = [one for one in listed if status.upper() in ("", one.status)]
    # Tunings are no executions: they are listed on their own, and sorted among the runs below.
    found = list_runs(states, names, machine=machine, status=status.upper(), limit=limit) if machine != TUNE else []
    # A name is as short as the listed runs allow; JSON has whole names.
    short = short_names(found)

    def row(run: Run) -> dict[str, Any]:
        execution = read_execution(states, run)
        ended = outcome(execution)
        if ended.warning:  # with an example, which costs a read of what was refused
            ended = outcome_of(environment, names, execution)
        line = ended.line if json or execution.is_good else execution.failure[:FAILURE]
        about = run_title(names, run.machine, execution.input)
        shown = _row(run, line, about, is_refused=ended.is_refused, as_json=json)
        if json:
            return shown
        # A run that reached its end without its result: no row accepted, or a model that was refused.
        return shown | {"run": short[run.arn], "status": "REFUSED" if ended.is_refused else run.status}

    tuned = (_row(one, f"millrace {TUNE} --result {one.name}", "hyperparameters", as_json=json) for one in jobs)
    rows = sorted([*map(row, found), *tuned], key=lambda row: row["started"], reverse=True)[:limit]
    wanted = " ".join(word for word in (status.upper(), machine) if word)
    # A drop that waits for a slot or a model has no run yet. It is named where such a run would be listed.
    may_wait = not status and machine in ("", *MACHINE_OF_FEED.values())
    waiting = part(lambda: read_waiting(environment, names)) if may_wait else None
    nothing = f"No {f'{wanted} ' if wanted else ''}run of {names.workload} yet"
    show_rows(rows, as_json=json, nothing=f"{nothing}." if wanted or waiting else f"{nothing}: drop a file.")
    if isinstance(waiting, WaitingDrops):  # of a queue that cannot be read nothing is said
        typer.echo(f"\n{waiting.sentence}.", err=True)


def _row(run: Run | TuningJob, outcome: str, about: str, *, is_refused: bool = False, as_json: bool) -> dict[str, Any]:
    """A run, or a search that a person started, as a row of the list of runs."""
    return {
        "run": run.name,
        "machine": run.machine,
        "status": run.status,
        "outcome": outcome,
        "started": run.started,
        "seconds": None if run.seconds is None else round(run.seconds, 1),
        "about": about,
        "redrives": run.redrives,
        **({"refused": is_refused, "arn": run.arn} if as_json else {}),
    }


def show(
    run: RunName,
    target: Target,
    json: Json,
    lines: Annotated[int, typer.Option(min=0, help="So many lines of the log at most.")] = 50,
) -> None:
    """Describe one run: its states, its failure with the log of the failed step, input, output, parent and children.

    With the id of a drop: the run that works on the drop, with the outcome of this drop alone.

    Example: millrace show 93a5562f"""
    from millrace.console.cli.follow import ShownRun, outcome_of, show_run
    from millrace.console.presenters.catalogue import run_title
    from millrace.console.presenters.remedy import find_remedy
    from millrace.console.queries.executions import of_drop
    from millrace.console.queries.runs import SHORT, describe_run, find_run_or_drop
    from millrace.console.queries.steps import failed_step, read_log
    from millrace.messages.execution import UNWANTED

    environment, names = target.find()
    found, drop_id = find_run_or_drop(environment, names, run)
    detail = describe_run(environment.client("stepfunctions"), names, found)
    # Only a failed run has a step and a log to look at.
    broken = failed_step(detail.steps) if detail.run.status in UNWANTED else None
    log = read_log(environment.client("logs"), broken, most=lines) if broken and lines else None
    # A run may work on several drops. By a drop's id, only that drop's part of its input and output is shown.
    execution = of_drop(detail.execution, drop_id)
    about = run_title(names, detail.run.machine, execution.input)
    result = outcome_of(environment, names, execution)
    remedy = find_remedy(detail, broken, short=detail.run.name[:SHORT])
    if json:
        show_json(
            {**_document(detail, log), "about": about, "outcome": asdict(result), "remedy": remedy and asdict(remedy)}
        )
    else:
        show_run(names, ShownRun(detail=detail, about=about, outcome=result, broken=broken, remedy=remedy, log=log))


def rerun(
    run: RunName,
    target: Target,
    json: Json,
    new: Annotated[
        bool, typer.Option("--new", help="Start a new run with the same input, from the beginning.")
    ] = False,
    keep_definition: Annotated[
        bool, typer.Option("--keep-definition", help="Redrive although the machine's definition has changed since.")
    ] = False,
    wait: Wait = False,
) -> None:
    """Redrive a failed run from the step that failed, or start a new run with the same input.

    Example: millrace rerun 93a5562f --wait"""
    from millrace.console.actions.start import redrive, start_again
    from millrace.console.queries.runs import find_run, find_run_or_drop

    environment, names = target.find()
    states = environment.client("stepfunctions")
    found, _ = find_run_or_drop(environment, names, run)
    done = start_again(states, found) if new else redrive(states, found, keep_definition=keep_definition)
    for note in done.notes:
        typer.echo(f"note: {note}", err=True)
    end(environment, names, find_run(states, names, done.arn), how=done.how, wait=wait, as_json=json)


def train(
    target: Target,
    json: Json,
    as_of: AsOf = "",
    wait: Wait = False,
    accept_corrections: Annotated[
        bool, typer.Option("--accept-corrections", help="However many labels have been corrected.")
    ] = False,
) -> None:
    """Start a training now; the month's budget decides whether it starts, its gates whether the model is registered.

    Example: millrace train --wait"""
    more = {"accept_corrections": True} if accept_corrections else {}
    start_run("train", target, as_of=as_of, wait=wait, as_json=json, more=more)


def retrain(target: Target, json: Json, as_of: AsOf = "", wait: Wait = False) -> None:
    """Request a retraining; the guard checks champion, lease, runs of the month and budget first.

    Example: millrace retrain --wait"""
    start_run("retrain", target, as_of=as_of, wait=wait, as_json=json)


def start_run(
    machine: str, target: Target, *, as_of: str, wait: bool, as_json: bool, more: Mapping[str, Any] | None = None
) -> None:
    """Start a run of the machine at this moment, or as of `as_of`, and print it as `end` does.

    `more` are further fields of the machine's input."""
    from millrace.console.actions.start import start
    from millrace.console.cli.follow import when

    moment = when(as_of, "--as-of")
    environment, names = target.find()
    if moment and moment > (now := environment.now()):
        raise RunError(f"--as-of: expected a moment that has come, until {format_utc(now)}, got {as_of}")
    run = start(environment.client("stepfunctions"), names, machine, as_of=moment, more=more)
    end(environment, names, run, how="started", wait=wait, as_json=as_json)


def end(environment: Environment, names: WorkloadNames, run: Run, *, how: str, wait: bool, as_json: bool) -> None:
    """Print the started run and, with `wait`, follow it and the runs that it causes to their ends.

    Raises RunError if one of them failed or was refused."""
    from millrace.console.cli.follow import follow, require_success

    if not as_json:
        typer.echo(f"{run.machine} {run.name} {how}")
    found = follow(environment, names, run.arn, said=not as_json) if wait else []
    if as_json:
        ended = [each.as_json() for each in found]
        show_json({"machine": run.machine, "run": run.name, "arn": run.arn, "how": how, "ended": ended})
    require_success(names, found)


def _document(detail: RunDetail, log: Any) -> dict[str, Any]:
    """The run and its log as JSON."""

    # `asdict` has the fields alone, and seconds are properties.
    document = asdict(detail)
    document["run"]["seconds"] = detail.run.seconds
    for step, read in zip(document["steps"], detail.steps, strict=True):
        step["seconds"] = read.seconds
    return {**document, "log": asdict(log) if log else None}
