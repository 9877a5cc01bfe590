"""`millrace status`, `live`, `automate`, `logs`: what goes on, what was live, what acts by itself, what was written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from millrace.console.cli import options
from millrace.console.cli.options import Build, Json, Stage, Target, several_workloads
from millrace.console.cli.printing import literal, show_json, show_rows
from millrace.console.words import age
from millrace.errors import EnvironmentNotFoundError, WorkloadError
from millrace.timestamps import parse_utc

if TYPE_CHECKING:
    from millrace.console.environment import Environment
    from millrace.console.queries.executions import Execution
    from millrace.console.queries.live import WorkloadState
    from millrace.console.queries.reviews import Waiting
    from millrace.console.queries.steps import Log
    from millrace.console.queries.versions import WaitingVersion
    from millrace.names import WorkloadNames


def status(
    stage: Stage,
    build: Build,
    as_json: Json,
    workload: Annotated[str, several_workloads("all that are deployed", "The workload.")] = "",
) -> None:
    """Show for each workload which version is live, what runs, what waits, and how the newest run ended.

    Example: millrace status"""
    from millrace.console.environment import find_environment
    from millrace.console.queries.live import UnreadWorkload, try_state

    environment = find_environment(stage, build)
    shown = [environment.names(workload)] if workload else environment.deployed()
    states = [try_state(environment, names) for names in shown]
    rows = [
        {"workload": state.workload, "live": state.why.words} if isinstance(state, UnreadWorkload) else _row(state)
        for state in states
    ]
    show_rows(rows, as_json=as_json, nothing="No workload is deployed: millrace new, then millrace up.")


def _row(state: WorkloadState) -> dict[str, Any]:
    from millrace.console.presenters.catalogue import outcome, run_title
    from millrace.console.queries.runs import SHORT
    from millrace.console.queries.stored import part_in_words

    def ended(run: Execution) -> str:
        result = outcome(run)
        how = "REFUSED" if result.is_refused else run.status
        subject = run_title(state.names, run.machine, run.input)
        return f"{run.machine} {run.name[:SHORT]} ({subject}): {how}, {result.text or run.failure}"

    def waiting(found: Waiting) -> str | int:
        many = f"{'' if found.is_exact else 'at least '}{found.count}"
        return f"{many}, the oldest for {age(state.now - found.oldest)}" if found.oldest else 0

    def numbers(found: Sequence[WaitingVersion]) -> str:
        return ", ".join(one.version for one in found)

    return {
        "workload": state.names.workload,
        "live": state.live,
        **({"waits_for_approval": part_in_words(state.unapproved, numbers)} if state.unapproved else {}),
        **({"automated": part_in_words(state.automates, lambda found: found.words)} if state.automates else {}),
        "runs_now": part_in_words(
            state.runs, lambda runs: ", ".join(f"{run.machine} {run.name[:SHORT]}" for run in runs.running)
        ),
        "drops_waiting": part_in_words(state.waiting, lambda waiting: waiting.drops, 0),
        **({"reviews_waiting": part_in_words(state.reviews, waiting, 0)} if state.automates else {}),
        "newest_run": part_in_words(state.runs, lambda runs: ended(runs.newest) if runs.newest else ""),
    }


def live(
    target: Target,
    as_json: Json,
    at: Annotated[str, typer.Option(help="A time as 1997-05-20T06:00:00 (UTC); without it now.")] = "",
) -> None:
    """Show which version was live at a time: since and until when, who approved it, by which endpoint configuration.

    Example: millrace live --at 1997-05-20T06:00:00. The audit records of releases and rollbacks say so; the workload
    need not be deployed any more."""
    from millrace.console.queries.live import find_live

    found = find_live(*target.find(), _moment(at))
    if as_json:
        show_json(asdict(found))
        return
    approval = f"{found.approved_by}: {found.approval}" if found.approved_by else "nobody had to"
    rollback = f"{found.rolled_back_by}: {found.rollback}" if found.rolled_back_by else ""
    row = {"version": found.version, "since": found.since, "until": found.until or "now", "approved_by": approval}
    row |= {"rolled_back_by": rollback} if rollback else {}
    row |= {"endpoint_configuration": found.endpoint_config, "release": found.execution, "revision": found.revision}
    show_rows([row], as_json=False, nothing="")


def _moment(text: str) -> datetime | None:
    """The time of an ISO 8601 text; None for "". Raises EnvironmentNotFoundError if the text is no time."""
    try:
        return parse_utc(text) if text else None
    except ValueError:
        expected = "a time as 1997-05-20T06:00:00"
        raise EnvironmentNotFoundError(f"--at: expected {expected}, got {text!r}") from None


def automate(
    target: Target,
    as_json: Json,
    pause: Annotated[bool, typer.Option("--pause", help="Let no answer act by itself: a person decides all.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Let answers act again.")] = False,
    reason: Annotated[str, typer.Option(help="Why, for the audit table.")] = "",
) -> None:
    """Show which answers act by themselves; stop that for all of them, or let it go on.

    Example: millrace automate --pause --reason "complaints about refusals". It holds within ten seconds."""
    from millrace.console.actions.audited import switch
    from millrace.console.queries.live import find_automates
    from millrace.console.queries.versions import state_of
    from millrace.state.pointers import ReleasePointers

    if pause and resume:
        raise typer.BadParameter("expected one of --pause and --resume, got both", param_hint="--pause")
    environment, names = target.find_deployed()
    champion = ReleasePointers(state_of(environment, names)).champion()
    if find_automates(environment, names, champion) is None:
        where, expected = f"{names.workload}/workload.yaml", "which answers may act: automate, review_above or held_out"
        raise WorkloadError(where=where, field="policy", expected=expected, came="nothing")
    if pause or resume:
        switch(environment, names, paused=pause, reason=reason)
    found = find_automates(environment, names, champion)
    assert found is not None
    if as_json:
        show_json({"workload": names.workload, "paused": found.switch.is_paused, "automated": found.words})
    else:
        print(f"Automated of {names.workload}: {found.words}.")


def logs(
    target: Target,
    json: Json,
    name: Annotated[
        str,
        typer.Argument(
            metavar="RUN|FUNCTION",
            autocompletion=options.runs,
            show_default="the newest run",
            help="A run, as `millrace runs` lists it, the id of a drop, or a function such as `prediction`.",
        ),
    ] = "",
    lines: Annotated[int, typer.Option(min=1, help="So many lines of each step at most.")] = 50,
) -> None:
    """Print what the functions and jobs of a run have written, step by step, or the newest lines of a function.

    Example: millrace logs, millrace logs 93a5562f, millrace logs prediction"""
    from millrace.console.queries.steps import plainly

    found = _logs(*target.find(), name, most=lines)
    if json:
        show_json([{"step": step, "at": line.at, "text": line.text} for step, log in found for line in log.lines])
        return

    console, written = Console(soft_wrap=True), [(step, log) for step, log in found if log.lines]
    for step, log in written:
        console.print(literal(step), style="bold")
        for line in log.lines:
            console.print(literal(f"{line.at:%H:%M:%S} {plainly(line.text)}".expandtabs(2)))
    if not written:
        console.print(literal("No line was written."))


def _logs(environment: Environment, names: WorkloadNames, name: str, *, most: int) -> list[tuple[str, Log]]:
    """The logs by step, or the one of the function. Raises RunError if the name is neither a run nor a function."""
    from millrace.console.queries.runs import describe_run, find_run_or_drop, list_runs
    from millrace.console.queries.steps import read_function, read_log

    reader, states = environment.client("logs"), environment.client("stepfunctions")
    if name and (log := read_function(reader, names.function(name.replace("_", "-")), most=most)):
        return [(name, log)]
    newest = () if name else list_runs(states, names, limit=1)
    if not name and not newest:
        return []
    run = newest[0] if newest else find_run_or_drop(environment, names, name)[0]
    # States without a call of a function or a job write nothing.
    steps = describe_run(states, names, run).steps
    return [(step.name, read_log(reader, step, most=most)) for step in steps if step.call]
