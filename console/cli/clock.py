"""`millrace clock`: the clock of the local cloud, and what falls due when it is moved."""

from __future__ import annotations

import re
import time
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from millrace.console.cli.options import Build, Json

if TYPE_CHECKING:
    from millrace.console.cli.follow import EndedRun
    from millrace.console.environment import Environment
    from millrace.console.local_cloud.local_cloud import LocalCloud
    from millrace.console.queries.runs import Run
    from millrace.names import WorkloadNames

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
    to: Annotated[str, typer.Option(metavar="MOMENT", help="A moment to come, with its offset.")] = "",
) -> None:
    """Show the clock of the local cloud, or move it forward: monitors and other schedules run when they are due.

    Example: millrace clock --forward 30d. It stops after each day until all has ended that was due. A clock never goes
    back, and that of a stage on AWS cannot be moved."""
    from millrace.console.cli.printing import show_json
    from millrace.console.environment import find_environment

    environment = find_environment("local", build)
    assert environment.cloud is not None
    before = environment.now()
    target = _target(before, forward, to)
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


def _target(now: datetime, forward: str, to: str) -> datetime | None:
    """The time to move to; None if the clock is only to be shown. Raises RunError for a time that is not to come."""
    from millrace.console.cli.follow import when
    from millrace.errors import RunError

    if forward and to:
        raise typer.BadParameter("expected --forward or --to, got both", param_hint="--to")
    if not forward:
        if (target := when(to, "--to")) is not None and target < now:
            raise RunError(f"--to: expected a moment after {now:%Y-%m-%dT%H:%M:%SZ}, the clock's time now, got {to!r}")
        return target
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
