"""Prints while a command waits for runs: a status line, and a line for each run that has ended."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from millrace.console.actions.start import Follower, Named
from millrace.console.cli.printing import plain
from millrace.console.environment import Environment
from millrace.console.presenters.catalogue import outcome, run_title
from millrace.console.presenters.presenter import Outcome
from millrace.console.presenters.remedy import Remedy
from millrace.console.queries.drops import reasons_of
from millrace.console.queries.executions import UNEXPECTED, Execution, drops_of, of_drop, reason_of
from millrace.console.queries.runs import SHORT, RunDetail, claims_of
from millrace.console.queries.steps import Log, Step, plainly, read_epoch
from millrace.console.stages import command
from millrace.errors import RunError
from millrace.names import WorkloadNames

INTAKE_S = 600.0
"""So many seconds the intake may take, as all slots can be taken."""
LASTS_S = 3.0
"""A phase that lasts so many seconds gets a line in a pipe."""
ASKED_S = 1.0
"""Seconds between two looks at the epoch of a training."""
LOCAL_POLL_S, LOCAL_GRACE_S = 0.2, 2.0
"""In the local cloud: seconds between two looks, and seconds to wait for a run that an event starts."""


@dataclass(kw_only=True)
class Progress:
    """What is shown while runs go on: in a terminal one line that moves, in a pipe a line for each phase that lasts."""

    show: Callable[[str], object]
    epoch: Callable[[str], str]
    """Called with the name of a training job. Gives where it is, such as `epoch 7 of at most 30`; empty if unknown."""
    is_terminal: bool
    clock: Callable[[], float] = time.monotonic
    phase: str = ""
    since: float = 0.0
    asked: float = 0.0
    at: str = ""

    def move(self, phase: str, job: str) -> None:
        """Show the phase, and of a training job the epoch."""
        now = self.clock()
        if phase != self.phase:
            self.phase, self.since, self.asked, self.at = phase, now, now, ""
        elif not self.is_terminal and self.at != "told" and now - self.since >= LASTS_S:
            self.at = "told"
            self.show(phase)
        if self.is_terminal:
            if job and now - self.asked >= ASKED_S:
                self.at, self.asked = self.epoch(job), now
            self.show(", ".join(filter(None, (phase, self.at))))


@contextmanager
def _follower(environment: Environment, names: WorkloadNames, *, said: bool) -> Iterator[Follower]:
    """A follower while the block runs, with a status line if stderr is a terminal. `said` prints its sentences.

    If a signal ends the block, it says that only the waiting ends."""
    states = environment.client("stepfunctions")
    console = Console(stderr=True)
    say = partial(typer.echo, err=True) if said else lambda _: None
    with console.status("") as status:
        show = (lambda line: status.update(Text(line))) if console.is_terminal else say
        epoch = partial(read_epoch, environment.client("logs"), names)
        progress = Progress(show=show, epoch=epoch, is_terminal=console.is_terminal)
        # Runs of the local cloud take seconds and its events arrive at once: look more often, wait less.
        pauses = {"poll_s": LOCAL_POLL_S, "grace_s": LOCAL_GRACE_S} if environment.platform.stage == "local" else {}
        try:
            yield Follower(states=states, names=names, moving=progress.move, said=say, **pauses)
        except SystemExit:
            look = f"look with `{command(names, 'runs')}`"
            typer.echo(f"\nmillrace: no longer waits, what was started goes on: {look}", err=True)
            raise


@dataclass(frozen=True, kw_only=True)
class EndedRun:
    """A run that has ended, with its outcome."""

    detail: RunDetail
    outcome: Outcome

    def as_json(self) -> dict[str, Any]:
        run = self.detail.run
        named = {"machine": run.machine, "arn": run.arn, "status": run.status}
        return {**named, "outcome": self.outcome.line, "refused": self.outcome.is_refused}


def follow(environment: Environment, names: WorkloadNames, arn: str, *, said: bool) -> list[EndedRun]:
    """The run and the runs that it caused, when all have ended. With `said` each is a line on stderr."""
    return _followed(environment, names, lambda _: arn, said=said)


def follow_run(environment: Environment, names: WorkloadNames, find: Callable[[], Named | None]) -> list[EndedRun]:
    """The run that an event starts, as soon as `find` names it, and those that it caused, when all have ended."""
    return _followed(environment, names, lambda follower: follower.wait_for(find, limit_s=INTAKE_S).arn, said=True)


def follow_drop(environment: Environment, names: WorkloadNames, drop_id: str, *, said: bool) -> list[EndedRun]:
    """The runs that a drop caused, when all have ended, as `follow` returns and prints them.

    The first run may work on several drops together: its title and its outcome are those of this drop alone. If such a
    run failed, the drop's own run, which comes after it, counts in its place."""
    find = partial(claims_of(environment, names).find, drop_id)

    def first(follower: Follower) -> str:
        return follower.run_of_drop(find, drop_id, limit_s=INTAKE_S).arn

    return _followed(environment, names, first, said=said, drop_id=drop_id)


def _followed(
    environment: Environment, names: WorkloadNames, first: Callable[[Follower], str], *, said: bool, drop_id: str = ""
) -> list[EndedRun]:
    """The run whose ARN `first` finds, and those that it caused, when all have ended."""
    with _follower(environment, names, said=said) as follower:
        found = follower.follow(first(follower))
        return [_ended(environment, names, detail, said=said, drop_id=drop_id) for detail in found]


def _ended(
    environment: Environment, names: WorkloadNames, detail: RunDetail, *, said: bool, drop_id: str = ""
) -> EndedRun:
    # A run may work on several drops. Without a drop's id the execution stays whole.
    execution = of_drop(detail.execution, drop_id)
    ended = EndedRun(detail=replace(detail, input=execution.input), outcome=outcome_of(environment, names, execution))
    if said:
        typer.echo(line_of(names, ended), err=True)
        if ended.outcome.warning:
            typer.secho(f"warning: {ended.outcome.warning}", err=True, fg="yellow")
        if ended.outcome.then:
            typer.echo(f"next: {ended.outcome.advice}: {command(names, *ended.outcome.then)}", err=True)
    return ended


def outcome_of(environment: Environment, names: WorkloadNames, execution: Execution) -> Outcome:
    """The run's outcome, with the reasons of the rows that it quarantined."""
    # The reasons are a read of S3, so they are read only for a run that quarantined rows.
    has_reasons = execution.is_good and any(each.quarantined for each in drops_of(execution))
    return outcome(execution, reasons_of(environment.client("s3"), names, execution) if has_reasons else ())


def require_success(names: WorkloadNames, found: Sequence[EndedRun]) -> None:
    """Raises RunError if a run did not succeed, or succeeded without what it was started for (a refused model)."""
    failed = [ended for ended in found if ended.detail.run.status != "SUCCEEDED"]
    if failed:
        commands = (command(names, "show", ended.detail.run.name[:SHORT]) for ended in failed)
        look = ", ".join(f"`{each}`" for each in commands)
        raise RunError(f"{len(failed)} of {len(found)} runs did not succeed: look with {look}")
    # A run may succeed without a result, as a training does with a model that its gates refuse.
    refused = [f"{_named(names, ended.detail)}: {ended.outcome.text}" for ended in found if ended.outcome.is_refused]
    if refused:
        raise RunError("; ".join(refused))


def line_of(names: WorkloadNames, ended: EndedRun) -> str:
    """The line of an ended run: "train 93a5562f (alarm): SUCCEEDED, 19.4 s: refused by calibration: look with …"."""
    run, outcome = ended.detail.run, ended.outcome
    took = f", {run.seconds:.1f} s" if run.seconds is not None else ""
    if run.status != "SUCCEEDED":
        why = f", {ended.detail.execution.failure}" if ended.detail.execution.failure else ""
        return f"{_named(names, ended.detail)}: {run.status}{took}{why}"
    result = f": {': '.join(filter(None, (outcome.text, outcome.detail)))}" if outcome.text else ""
    where = f", in {outcome.uri}" if outcome.uri else ""
    look = f": look with `{command(names, *outcome.look)}`" if outcome.look else ""
    how = "REFUSED" if outcome.is_refused else run.status
    return f"{_named(names, ended.detail)}: {how}{took}{result}{where}{look}"


def _named(names: WorkloadNames, detail: RunDetail) -> str:
    """The name of a run in a line: `train 93a5562f (alarm)`."""
    about = run_title(names, detail.run.machine, detail.execution.input)
    subject = f" ({about})" if about else ""
    return f"{detail.run.machine} {detail.run.name[:SHORT]}{subject}"


def when(text: str | None, option: str) -> datetime | None:
    """The moment that the text says in ISO 8601; None without a text.

    Raises RunError if the text is no moment or has no offset."""
    if not text:
        return None
    with suppress(ValueError):
        if (moment := datetime.fromisoformat(text)).tzinfo:
            return moment
    raise RunError(f"{option}: expected a moment with its offset, such as 1997-05-15T06:00:00Z, got {text!r}")


STYLES = {"succeeded": "green", "failed": "bold red", "caught": "yellow", "stopped": "red", "running": "cyan"}
CUT = 2_000
"""Most characters of an input, an output or a cause that are shown. `--json` shows all."""


@dataclass(frozen=True, kw_only=True)
class ShownRun:
    """One run, and everything that is shown of it."""

    detail: RunDetail
    about: str
    """What the run is about, such as `alarm input-drift` or `training/1996-05.parquet`; may be empty."""
    outcome: Outcome
    broken: Step | None
    """The step that made the run fail."""
    remedy: Remedy | None
    """None for a run that has not failed."""
    log: Log | None


def show_run(names: WorkloadNames, shown: ShownRun) -> None:
    """Print the run, its outcome, its states, its failure and the log of the step that made it fail."""
    # Soft wrap: rich breaks no line, so a long ARN stays whole.
    console, detail = Console(soft_wrap=True), shown.detail
    _head(console, detail, shown.about)
    if detail.run.status == "SUCCEEDED":
        _outcome(console, names, shown.outcome)
    console.print(_steps(detail.steps))
    if detail.run.status not in ("RUNNING", "SUCCEEDED"):
        _failure(console, detail, shown.broken, is_logged=bool(shown.log and shown.log.lines))
    if (log := shown.log) and log.group:
        _titled(console, f"log {log.group} {log.stream}".strip(), "" if log.lines else "no lines")
        for line in log.lines:
            console.print(Text.assemble((f"{line.at:%H:%M:%S} ", "dim"), plainly(line.text)))
    for title, value in (("input", detail.input), ("output", detail.output)):
        if value is not None:
            _titled(console, title, _cut(json.dumps(value, indent=1)))
    if shown.remedy:
        _titled(console, "what now", f"{shown.remedy.advice}\n{command(names, *shown.remedy.words)}")


def _outcome(console: Console, names: WorkloadNames, outcome: Outcome) -> None:
    if not outcome.text:
        return
    console.print(Text(outcome.text, style="bold red" if outcome.is_refused else "bold"))
    if outcome.warning:
        console.print(Text(f"warning: {outcome.warning}", style="bold yellow"))
    if outcome.detail:
        console.print(Text(outcome.detail))
    if outcome.uri:
        console.print(Text(f"in {outcome.uri}"))
    if outcome.look:
        console.print(Text(f"look with {command(names, *outcome.look)}"))
    if outcome.then:
        console.print(Text(f"{outcome.advice}\n  {command(names, *outcome.then)}"))


def _head(console: Console, detail: RunDetail, about: str) -> None:
    run = detail.run
    took = f", {run.seconds:.1f} s" if run.seconds is not None else ""
    redrives = f", redriven {run.redrives} times" if run.redrives > 1 else ", redriven once" if run.redrives else ""
    console.print(Text.assemble((f"{run.machine} {run.name}", "bold"), f"  {run.status}", (redrives, "yellow")))
    console.print(Text(f"{plain(run.started)}{took}" + (f", {about}" if about else "")))
    if detail.parent:
        console.print(Text(f"because of {_short(detail.parent)}"))
    for child in detail.children:
        console.print(Text(f"caused {_short(child)}"))


def _short(arn: str) -> str:
    """The end of an execution's ARN: `millrace-local-electricity-train:93a5562f…`."""
    return arn.partition(":execution:")[2] or arn


def _steps(steps: list[Step]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("state", "", "entered"):
        table.add_column(name)
    for name in ("seconds", "tries"):
        table.add_column(name, justify="right")
    for step in steps:
        seconds = "" if step.seconds is None else f"{step.seconds:.1f}"
        tries = str(step.tries) if step.tries > 1 else ""
        outcome = Text(step.outcome, style=STYLES[step.outcome])
        table.add_row(Text(step.name), outcome, plain(step.entered), seconds, tries)
    return table


def _failure(console: Console, detail: RunDetail, broken: Step | None, *, is_logged: bool) -> None:
    """Print error and cause, without the lines of code that it came through if the log follows, which has them."""
    # An execution that was stopped or ran out of time has no error: that of its step or its status stands for it.
    error = detail.error or (broken.error if broken else "") or detail.run.status
    where = f" in {broken.name}" if broken else ""
    cause = detail.cause or (broken.cause if broken else "")
    if reason_of(cause).startswith(UNEXPECTED):
        error = detail.run.status
    _titled(console, f"{error}{where}", _cut(reason_of(cause) if is_logged else _readable(cause)), style="bold red")
    if detail.why_not_redrivable:
        console.print(Text(f"not redrivable: {detail.why_not_redrivable}"))


def _readable(cause: str) -> str:
    """The cause for people. If it is JSON, it is a function's error or a job's description."""
    try:
        value: Any = json.loads(cause)
    except ValueError:
        return cause
    # `reason_of` gives the cause itself if it finds no reason in it: then all of the JSON is shown.
    reason = reason_of(cause)
    if isinstance(value, dict) and "errorMessage" in value:
        # With the lines of code that it came through.
        return "\n".join((reason, *(str(frame).rstrip() for frame in value.get("stackTrace") or ())))
    return json.dumps(value, indent=1) if reason == cause else reason


def _titled(console: Console, title: str, text: str, *, style: str = "bold") -> None:
    console.print()
    console.print(Text(title, style=style))
    if text:
        console.print(Text(text))


def _cut(text: str) -> str:
    return text if len(text) <= CUT else f"{text[:CUT]} … ({len(text) - CUT:,} characters more: --json)"
