"""`millrace watch`: what comes, what is decided and what is wrong now, on one screen that is drawn anew."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer
from botocore.exceptions import BotoCoreError
from rich.console import Console
from rich.table import Table

from millrace.console.cli import options
from millrace.console.cli.options import Build, Json, Stage, Target
from millrace.console.cli.printing import literal, plain, show_json
from millrace.console.words import age, count, listed, spelled, times
from millrace.tasks.figures import short

if TYPE_CHECKING:
    from millrace.console.environment import Environment
    from millrace.console.queries.alarms import AlarmState
    from millrace.console.queries.live import WorkloadState
    from millrace.console.queries.monitoring import MonitoredWindow
    from millrace.names import WorkloadNames

RUNS = 8
"""So many of the newest monitor runs are read."""
SCORED = 1_000
"""About so many rows of each scored file of the newest day are read."""
ASKED = 100
"""So many waiting items are counted by their reason."""
NONE = "none"
ENDS = "Ctrl-C ends"
BARS = "▁▂▃▄▅▆▇█"
"""A window far below its bound to one at twice the bound or above."""


def watch(
    stage: Stage,
    build: Build,
    as_json: Json,
    workload: Annotated[
        str,
        typer.Argument(
            envvar="MILLRACE_WORKLOAD",
            autocompletion=options.workload_names,
            show_default="the only one that is deployed",
            help="A folder of workloads/.",
        ),
    ] = "",
    once: Annotated[bool, typer.Option("--once", help="Print the screen and end.")] = False,
    every: Annotated[float, typer.Option(min=1, help="Seconds from one drawing to the next.")] = 5,
) -> None:
    """Watch a workload: what came, what was decided, drift, error, alarms, labels that are wanted, and its release.

    Example: millrace watch electricity. Ctrl-C ends it. Drift and error are ratios to their bounds: above 1 alarms."""
    environment, names = Target(workload=workload, stage=stage, build=build).find_deployed()
    if as_json:
        show_json(dict(_lines(environment, names)))
        return
    from rich.live import Live

    console = Console()
    if once or not console.is_terminal:
        console.print(_screen(_lines(environment, names)))
        return
    lines = [(ENDS, "reading…")]
    with Live(_screen(lines), console=console, screen=True, auto_refresh=False) as live:
        while True:
            lines = next_lines(environment, names, lines)
            live.update(_screen(lines), refresh=True)
            time.sleep(every)


def next_lines(environment: Environment, names: WorkloadNames, before: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The lines below the time. Where nobody answers, as without network, those of `before`, and since when."""
    try:
        lines = [*_lines(environment, names)]
        return [(ENDS, f"{environment.now():%Y-%m-%d %H:%M:%S} UTC"), *lines]
    except (BotoCoreError, OSError) as error:
        (_, last), *lines = before
        return [(ENDS, f"{last.partition(';')[0]}; not answered since: {error}"), *lines]


def _screen(lines: Iterable[tuple[str, str]]) -> Any:

    table = Table.grid(padding=(0, 2))
    for name, text in lines:
        table.add_row(literal(name), literal(text), style="bold red" if name == "alarms" and text != NONE else "")
    return table


def _lines(environment: Environment, names: WorkloadNames) -> Iterator[tuple[str, str]]:
    """Name and text of each line of the screen."""
    from millrace.console.queries.live import read_state
    from millrace.console.queries.stored import part, part_in_words

    state = read_state(environment, names)
    yield names.workload, f"stage {names.platform.stage}"

    yield "live", f"{state.live}{_acts(state)}"
    yield "alarms", part_in_words(state.alarms, _alarms, NONE)
    yield "came", part_in_words(state.runs, lambda _: _came(state))
    yield (
        "runs now",
        part_in_words(state.runs, lambda runs: ", ".join(_run(state, run) for run in runs.running)) or NONE,
    )
    yield "decided", part_in_words(part(lambda: _decided(environment, names)), str, "nothing yet")
    windows = part(lambda: _windows(environment, names))
    yield "drift", part_in_words(windows, _drift, "no window is judged yet")
    yield "error", part_in_words(windows, error_line, "no window is judged yet")
    yield "labels wanted", part_in_words(part(lambda: _asked(environment, names)), str, NONE)
    yield "release", part_in_words(part(lambda: _release(environment, names, state)), str, NONE)


def _acts(state: WorkloadState) -> str:
    from millrace.console.queries.live import Automates

    return f"; acts by itself: {state.automates.words}" if isinstance(state.automates, Automates) else ""


def _came(state: WorkloadState) -> str:
    from millrace.console.presenters.catalogue import outcome, run_title
    from millrace.console.queries.stored import Unread

    assert not isinstance(state.runs, Unread)
    run, waiting = state.runs.drop, state.waiting
    waits = f"; {count(waiting.drops, 'drop')} waiting" if waiting and not isinstance(waiting, Unread) else ""
    if run is None:
        return f"no drop yet{waits}"
    title = run_title(state.names, run.machine, run.input)
    return f"{title}, {run.started:%Y-%m-%d %H:%M}: {outcome(run).text or run.failure or run.status}{waits}"


def _run(state: WorkloadState, run: Any) -> str:
    from millrace.console.queries.runs import SHORT

    return f"{run.machine} {run.name[:SHORT]} for {age(state.now - run.started)}"


def _decided(environment: Environment, names: WorkloadNames) -> str:
    """The decisions of the newest day: who decided, why, and whence the rows came."""
    from millrace.console.queries.decisions import find_days

    day = next(find_days(environment, names, most_scored=SCORED), None)
    if day is None:
        return ""
    sources = Counter(one.source for one in day.decisions)
    actions = Counter(one.action for one in day.decisions)
    reasons = Counter(one.reason for one in day.decisions if one.action != "automated")
    found = [
        f"{number:,} {'by people' if what == 'review' else spelled(what)}" for what, number in actions.most_common()
    ]
    why = ", ".join(f"{spelled(reason)} {number:,}" for reason, number in reasons.most_common())
    came = ", ".join(f"{source} {number:,}" for source, number in sources.most_common())
    return f"{day.day}: {', '.join(found)} ({came}){f'; {why}' if why else ''}"


def _windows(environment: Environment, names: WorkloadNames) -> tuple[MonitoredWindow, ...]:
    """The windows with decisions of the newest runs, in the order of time."""
    from millrace.console.queries.monitoring import find_monitor_runs, windows

    runs, _ = find_monitor_runs(environment, names, limit=RUNS)
    return tuple(one for one in windows(runs) if one.decisions)


def _drift(windows: tuple[MonitoredWindow, ...]) -> str:
    last = windows[-1]
    return f"{_bars(windows, 'input-drift')}{f' ({last.column})' if last.column else ''}"


def error_line(windows: tuple[MonitoredWindow, ...]) -> str:
    """The error beside its bound; without a bound the error of the newest window with labels."""
    known = [one for one in windows if one.labelled]
    labels = (
        f"; {known[-1].labelled:,} of {known[-1].answered:,} labels of {known[-1].start}" if known else "; no label yet"
    )
    if known and (mean := known[-1].mean_error) is not None and known[-1].error_bound is None:
        return f"{short(mean)}, without a bound{labels}"
    return f"{_bars(windows, 'error')}{labels}"


def _bars(windows: tuple[MonitoredWindow, ...], alarm: str) -> str:
    """A bar for each window and the newest figure: `▂▂▃█ 2.31 × bound, 2024-01-08 to 2024-01-15`."""
    known = [(one, ratio) for one in windows if (ratio := one.ratios[alarm]) is not None]
    if not known:
        return "not known"
    bars = "".join(BARS[min(int(ratio * len(BARS) / 2), len(BARS) - 1)] for _, ratio in known)
    last, ratio = known[-1]
    return f"{bars} {times(ratio)} × bound, {last.start} to {last.end}"


def _alarms(found: tuple[AlarmState, ...]) -> str:

    return "; ".join(f"{one.name} since {plain(one.since)}" for one in found)


def _asked(environment: Environment, names: WorkloadNames) -> str:
    """The items that wait for a person, by their reason."""
    from millrace.console.queries.reviews import list_waiting

    items = list_waiting(environment, names, limit=ASKED)
    reasons = Counter(one.reason for one in items)
    most = f"of the first {ASKED}: " if len(items) == ASKED else ""
    return (
        most + ", ".join(f"{number:,} {spelled(reason)}" for reason, number in reasons.most_common()) if items else ""
    )


def _release(environment: Environment, names: WorkloadNames, state: WorkloadState) -> str:
    from millrace.console.queries.live import find_climb, sentence_of
    from millrace.console.queries.stored import Unread

    climb = find_climb(environment, names)
    found = [sentence_of(climb)] if climb and climb.looks else []
    if not isinstance(state.unapproved, Unread) and state.unapproved:
        found.append(f"approval is wanted for version {listed([one.version for one in state.unapproved])}")
    return "; ".join(found)
