"""Prints the output of `millrace show`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from millrace.console.cli.printing import plain
from millrace.console.commands import command
from millrace.console.presenters.presenter import Outcome
from millrace.console.presenters.remedy import Remedy
from millrace.console.queries.executions import UNEXPECTED, reason_of
from millrace.console.queries.runs import RunDetail
from millrace.console.queries.steps import Log, Step, plainly
from millrace.names import WorkloadNames

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
    if shown.log is not None:
        _log(console, shown.log)
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


def _log(console: Console, log: Log) -> None:
    if not log.group:
        return
    _titled(console, f"log {log.group} {log.stream}".strip(), "" if log.lines else "no lines")
    for line in log.lines:
        console.print(Text.assemble((f"{line.at:%H:%M:%S} ", "dim"), plainly(line.text)))


def _titled(console: Console, title: str, text: str, *, style: str = "bold") -> None:
    console.print()
    console.print(Text(title, style=style))
    if text:
        console.print(Text(text))


def _cut(text: str) -> str:
    return text if len(text) <= CUT else f"{text[:CUT]} … ({len(text) - CUT:,} characters more: --json)"
