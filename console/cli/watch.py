"""Output while a command waits for runs: a status line, and a line for each run that has ended."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import typer
from rich.console import Console
from rich.text import Text

from console.environment import Environment
from console.queries.runs import SHORT, RunDetail
from console.queries.watch import Follower
from millrace.errors import RunError
from millrace.names import WorkloadNames

INTAKE_S = 600.0
"""So long the intake may take: all slots can be taken."""
LOCAL_POLL_S, LOCAL_GRACE_S = 0.2, 2.0


@contextmanager
def _follower(environment: Environment, names: WorkloadNames) -> Iterator[Follower]:
    """A follower with a status line on the terminal, if there is one, while the block runs."""
    states = environment.client("stepfunctions")
    console = Console(stderr=True)
    with console.status("") as status:
        moving = (lambda line: status.update(Text(line))) if console.is_terminal else lambda _: None
        if environment.platform.stage == "local":
            yield Follower(states=states, names=names, moving=moving, poll_s=LOCAL_POLL_S, grace_s=LOCAL_GRACE_S)
        else:
            yield Follower(states=states, names=names, moving=moving)


def follow(
    environment: Environment, names: WorkloadNames, arn: str, *, said: bool, intake: bool = False
) -> list[RunDetail]:
    """The run and those that it caused, when all have ended; each is a line on stderr if `said`.

    Raises RunError when one of them did not succeed."""
    found: list[RunDetail] = []
    with _follower(environment, names) as follower:
        if intake:
            follower.wait_for(arn, limit_s=INTAKE_S)
        for detail in follower.follow(arn):
            found.append(detail)
            if said:
                typer.echo(line_of(detail), err=True)
    bad = [detail for detail in found if detail.run.status != "SUCCEEDED"]
    if bad:
        look = ", ".join(f"`millrace show {detail.run.name[:SHORT]}`" for detail in bad)
        raise RunError(f"{len(bad)} of {len(found)} runs did not succeed: look with {look}")
    return found


def line_of(detail: RunDetail) -> str:
    """`train 93a5562f (alarm): SUCCEEDED, 19.4 s`."""
    run = detail.run
    subject = f" ({detail.about})" if detail.about else ""
    took = f", {run.seconds:.1f} s" if run.seconds is not None else ""
    why = f", {detail.error}" if detail.error else ""
    return f"{run.machine} {run.name[:SHORT]}{subject}: {run.status}{took}{why}"


def when(text: str | None, option: str) -> datetime | None:
    """The moment in ISO 8601; raises RunError when the text is none."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise RunError(f"{option}: expected a moment such as 1997-05-15T06:00:00Z, got {text!r}") from None
    if moment.tzinfo is None:
        raise RunError(f"{option}: expected a moment with its offset, such as 1997-05-15T06:00:00Z, got {text!r}")
    return moment
