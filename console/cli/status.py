"""`millrace status`, `live`, `automate`, `logs`: what goes on, what was live, what acts by itself, what was written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from millrace.console.cli.options import Build, Json, Reason, Stage, Target, several_workloads
from millrace.console.cli.printing import literal, show_json, show_rows, tell
from millrace.console.cli.runs import AsOf, Wait, end
from millrace.console.words import age
from millrace.errors import RunError
from millrace.names import Platform, WorkloadNames

if TYPE_CHECKING:
    from millrace.console.environment import Environment
    from millrace.console.queries.executions import Execution
    from millrace.console.queries.freshness import Step
    from millrace.console.queries.live import WorkloadState
    from millrace.console.queries.reviews import Waiting
    from millrace.console.queries.steps import Log
    from millrace.console.queries.versions import WaitingVersion


def status(
    stage: Stage,
    build: Build,
    as_json: Json,
    workload: Annotated[str, several_workloads("all that are deployed", "The workload.")] = "",
) -> None:
    """Show for each workload which version is live, what runs, waits and is late, and how the newest run ended.

    Example: millrace status"""
    from millrace.console.environment import find_environment
    from millrace.console.queries.alarms import find_raised
    from millrace.console.queries.live import UnreadWorkload, try_state
    from millrace.console.queries.stored import part

    environment = find_environment(stage, build)
    shown = [environment.names(workload)] if workload else environment.deployed()
    raised = part(lambda: find_raised(environment))
    states = [try_state(environment, names, raised) for names in shown]
    rows = [
        {"workload": state.workload, "live": state.why.words}
        if isinstance(state, UnreadWorkload)
        else _row(state, as_json=as_json)
        for state in states
    ]
    show_rows(rows, as_json=as_json, nothing="No workload is deployed: millrace new, then millrace up.")


def _row(state: WorkloadState, *, as_json: bool) -> dict[str, Any]:
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
        return f"{many}, the oldest for {age(state.now - found.oldest)}" if found.oldest else found.count

    def fresh(steps: Sequence[Step]) -> Any:
        documents = [asdict(one) | {"age": one.age, "state": one.state} for one in steps]
        return documents if as_json else "; ".join(one.words for one in steps)

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
        **({"people_agree": part_in_words(state.agreement, str)} if state.agreement else {}),
        "freshness": part_in_words(state.freshness, fresh),
        "newest_run": part_in_words(state.runs, lambda runs: ended(runs.newest) if runs.newest else ""),
    }


def live(
    target: Target,
    as_json: Json,
    at: Annotated[str, typer.Option(help="A time as 1997-05-20T06:00:00Z; without it now.")] = "",
) -> None:
    """Show which version was live at a time: since and until when, who approved it, by which endpoint configuration.

    Example: millrace live --at 1997-05-20T06:00:00Z. The audit records of releases and rollbacks say so; the workload
    need not be deployed any more."""
    from millrace.console.cli.follow import when
    from millrace.console.queries.live import find_live

    found = find_live(*target.find(), when(at, "--at"))
    if as_json:
        show_json(asdict(found))
        return
    approval = f"{found.approved_by}: {found.approval}" if found.approved_by else "nobody had to"
    rollback = f"{found.rolled_back_by}: {found.rollback}" if found.rolled_back_by else ""
    row = {"version": found.version, "since": found.since, "until": found.until or "now", "approved_by": approval}
    row |= {"rolled_back_by": rollback} if rollback else {}
    row |= {"endpoint_configuration": found.endpoint_config, "release": found.execution, "revision": found.revision}
    show_rows([row], as_json=False, nothing="")


def automate(
    target: Target,
    as_json: Json,
    pause: Annotated[bool, typer.Option("--pause", help="Let no answer act by itself: a person decides all.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Let answers act again.")] = False,
    reason: Reason = "",
) -> None:
    """Show which answers act by themselves; stop that for all of them, or let it go on.

    Example: millrace automate --pause --reason "complaints about refusals". It holds within ten seconds."""
    from millrace.console.actions.approve import switch
    from millrace.console.queries.live import declared_automates

    if pause and resume:
        raise typer.BadParameter("expected one of --pause and --resume, got both", param_hint="--pause")
    environment, names = target.find_deployed()
    found = declared_automates(environment, names)
    if pause or resume:
        switch(environment, names, paused=pause, reason=reason)
        found = declared_automates(environment, names)
    document = {"workload": names.workload, "paused": found.switch.is_paused, "automated": found.words}
    tell(f"Automated of {names.workload}: {found.words}.", document, as_json=as_json)


def logs(
    target: Target,
    json: Json,
    name: Annotated[
        str,
        typer.Argument(
            metavar="RUN|FUNCTION",
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


Version = Annotated[str, typer.Argument(help="The number of the version, as `millrace versions` lists it.")]


def approve(
    target: Target,
    json: Json,
    version: Version,
    reason: Reason,
    wait: Annotated[bool, typer.Option("--wait", help="Come back when the version is live.")] = False,
) -> None:
    """Let a version that waits for a person be released: preflight, smoke test, its phases, pointers, audit.

    You are the identity of your credentials, and must be another one than who asked for the training.

    Example: millrace approve 3 --reason "as good on our own wards" --wait"""
    from millrace.console.actions import approve as action
    from millrace.console.cli.follow import follow_run, require_success

    environment, names = target.find_deployed()
    known = action.releases(environment, names)
    package = action.approve(environment, names, version, reason=reason)
    if wait:
        found = follow_run(environment, names, lambda: action.find_release(environment, names, package.arn, known))
        require_success(names, found)
    what = f"Version {version} is live." if wait else f"Version {version} is approved; its release starts."
    tell(what, {"version": package.version, "approved": True, "live": wait}, as_json=json)


def refuse(target: Target, json: Json, version: Version, reason: Reason) -> None:
    """Refuse a version that waits for a person or is on a phase of its release: the live version stays.

    A phase ends at its next look, within the hour.

    Example: millrace refuse 3 --reason "errs on the new wards" """
    from millrace.console.actions import approve as action

    environment, names = target.find_deployed()
    package = action.refuse(environment, names, version, reason=reason)
    what = f"Version {version} is refused; the live version stays."
    tell(what, {"version": package.version, "approved": False}, as_json=json)


def release(target: Target, json: Json, version: Version, reason: Reason, wait: Wait = False) -> None:
    """Release a version again that was refused, or whose release was stopped.

    It goes through the declared phases. Where a person has to approve versions, one that was refused waits again.

    Example: millrace release 3 --reason "its labels were swapped, not it" """
    from millrace.console.actions import approve as action

    environment, names = target.find_deployed()
    run = action.release(environment, names, version, reason=reason)
    end(environment, names, run, how="started", wait=wait, as_json=json)


def rollback(
    target: Target,
    as_json: Json,
    reason: Reason,
    to: Annotated[str | None, typer.Option(help="Number of the version; without it the previous one.")] = None,
    restore: Annotated[bool, typer.Option("--restore", help="Make the live version's endpoint anew.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Come back when the version is live.")] = False,
) -> None:
    """Release an earlier model version, or the live one, again: smoke test, new fleet, alarms, pointers, audit.

    Example: millrace rollback --reason "worse since Tuesday" --wait. No request fails meanwhile. Asked again without
    --to it brings back the version that was replaced. With --restore the endpoint serves the live version again: it was
    deleted, or a release stopped halfway."""
    from millrace.console.actions.approve import roll_back
    from millrace.console.cli.follow import follow, require_success

    environment, names = target.find_deployed()
    started = roll_back(environment, names, reason=reason, to=to, restores=restore)
    if wait:
        # If the release fails, the error says what has become of the version that was live.
        try:
            require_success(names, follow(environment, names, started.execution, said=not as_json))
        except RunError as error:
            what = "is not restored" if restore else "serves on"
            raise RunError(f"version {started.replaced} {what}: {error}") from None
    version, before = started.version, started.replaced
    beside = "" if restore else f", version {before} is the previous one" if wait else f", {before} serves until then"
    what = f"Version {version} is live again{beside}." if wait else f"On its way{beside}:\n{started.execution}"
    tell(what, asdict(started) | {"live": wait}, as_json=as_json)


From = Annotated[str, typer.Option("--from", metavar="ACCOUNT/STAGE", help="The stage of which the version is.")]


def pull(
    version: Annotated[str, typer.Argument(help="The version's number there.")],
    origin: From,
    target: Target,
    json: Json,
    as_of: AsOf = "",
    wait: Wait = False,
) -> None:
    """Take over a version that another stage, mostly of another account, has released: checked, judged, released.

    Its signature is checked and its archive copied. Then it is judged on this stage's rows beside the live version, by
    the same gates and steps as a trained one.

    Example: millrace pull 3 --from 111122223333/dev --stage prod --wait"""
    from millrace.console.actions.start import start
    from millrace.console.cli.follow import when

    account, _, name = origin.partition("/")
    if not (account.isdigit() and name and version.isdigit()):
        raise RunError(f"expected a version's number and --from ACCOUNT/STAGE, got {version} and {origin}")
    moment = when(as_of, "--as-of")
    environment, names = target.find_deployed()
    there = Platform(stage=name, account=account, region=names.platform.region)
    arn = WorkloadNames(platform=there, workload=names.workload).package_arn(version)
    run = start(environment.client("stepfunctions"), names, "train", as_of=moment, more={"pulled": arn})
    end(environment, names, run, how="started", wait=wait, as_json=json)
