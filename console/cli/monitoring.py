"""The commands on what is watched and what waits: `millrace alarms`, `monitor`, `dead`, `consumers`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from millrace.console.cli.options import Json, Reason, Target, flag, text
from millrace.console.cli.printing import show, show_json, show_rows
from millrace.console.cli.runs import AsOf, Wait, start_run
from millrace.console.stages import command
from millrace.console.words import count
from millrace.errors import RunError
from millrace.tasks.figures import short

if TYPE_CHECKING:
    from millrace.console.queries.alarms import Limit, Receiver, Watched
    from millrace.console.queries.monitoring import MonitoredWindow, ServedWindow
    from millrace.names import WorkloadNames


RUNS = 100
"""So many of the newest monitor runs are read at most."""
NONE_RAN = (
    "No monitor run has judged a window yet. Windows hold the decisions of `predict` and of files scored whole. "
    "The machine `monitor` runs on its schedule; `{start}` starts it now. Where rows are of the past, "
    "add `--as-of MOMENT`: windows of event time that ended by then are judged."
)
"""What is shown before the first window. `start` is a command."""
NOTHING = "No judged window has decisions."
Limited = Annotated[int, typer.Option(min=0, help="Windows at most, the newest; 0 for all.")]


def alarms(
    target: Target,
    json: Json,
    acknowledge: Annotated[
        str,
        typer.Option(metavar="ALARM", help="Somebody acts on this raised alarm: no more reminders until it is over."),
    ] = "",
    reason: Reason = "",
) -> None:
    """Show the alarms: state, severity, runbook, the last figure and its bound; who is sent them; what is not watched.

    Example: millrace alarms. A figure above its bound alarms: a ratio to a calibrated value above 1, a number that
    should be 0 above 0. Decisions of `predict` and rows of scored files are watched.

    Example: millrace alarms --acknowledge error --reason "the meter is being replaced". Its reminders end."""
    from millrace.console.actions.approve import acknowledge as note
    from millrace.console.queries.alarms import (
        MAIL_LOG,
        check_raised,
        find_alarm_states,
        find_limits,
        find_receivers,
        read_champion,
    )
    from millrace.console.queries.monitoring import find_monitor_runs
    from millrace.console.queries.versions import state_of
    from millrace.state.unanswered import UnansweredAlarm

    environment, names = target.find_deployed()
    found = find_alarm_states(environment, names, find_monitor_runs(environment, names, limit=RUNS))
    if acknowledge:
        try:
            check_raised(acknowledge, found)
        except RunError as error:
            raise typer.BadParameter(str(error), param_hint="--acknowledge") from None
        note(environment, names, acknowledge, reason=reason)
    raised = {one.name for one in found if one.state == "ALARM"}
    known = UnansweredAlarm.every(state_of(environment, names)) if raised else {}
    found = tuple(
        replace(one, acknowledged=known[one.name].by) if one.name in raised & known.keys() else one for one in found
    )
    receivers = find_receivers(environment, names)
    limits = find_limits(read_champion(environment, names))
    if json:
        shown: dict[str, tuple[Any, ...]] = {"alarms": found, "receivers": receivers, "limits": limits}
        show_json({name: [asdict(one) for one in listed] for name, listed in shown.items()})
        return
    show(found, as_json=False, nothing=f"No alarm of {names.workload} is deployed.")
    _show_receivers(receivers, names, mail_log=MAIL_LOG if environment.cloud else "")
    _show_limits(limits)


def _show_receivers(receivers: tuple[Receiver, ...], names: WorkloadNames, *, mail_log: str) -> None:
    stage = names.platform.stage
    if not receivers:
        setting = f'"alarm_email": "<address>" below stages.{stage}'
        print(f"\nNobody is sent these alarms: {setting} in the context of cdk.json subscribes an address.")
    for one in receivers:
        waits = f"its mails are lines of {mail_log}" if mail_log else "nothing is sent to it"
        state = "" if one.is_confirmed else f", not confirmed by its owner yet: {waits}"
        print(f"\nSent to {one.endpoint} ({one.protocol}){state}.")


def monitor(
    target: Target,
    json: Json,
    limit: Limited = 20,
    start: Annotated[
        bool, typer.Option("--start", help="Show no window: start a run that judges those that are over.")
    ] = False,
    as_of: AsOf = "",
    wait: Wait = False,
) -> None:
    """Show each judged window of event time: decisions, labels, drift and error beside their bounds.

    Each alarm's figure is a ratio to its bound: above 1 it alarms. The figure of the error is the lowest of the windows
    in a row; `mean error` is the window's own. An error needs labels: `labelled` says how many decisions have one.
    Decisions of `predict` and rows of scored files are watched.

    Example: millrace monitor --limit 8

    Example: millrace monitor --start --as-of 1997-05-15T06:00:00Z --wait"""
    from millrace.console.queries.alarms import find_limits, read_champion
    from millrace.console.queries.monitoring import find_monitor_runs, find_rejected, served_windows, windows

    if start:
        start_run("monitor", target, as_of=as_of, wait=wait, as_json=json)
        return
    if as_of or wait:
        raise typer.BadParameter("expected --start beside it, got none", param_hint="--as-of" if as_of else "--wait")
    environment, names = target.find_deployed()
    runs = find_monitor_runs(environment, names, limit=RUNS)
    watched, judged = read_champion(environment, names), windows(runs)
    limits = find_limits(watched)
    if json:
        shown = judged[-limit:] if limit else judged
        served = [{"served": window.served.model_dump() if window.served else None} for window in shown]
        found = [asdict(window) | said for window, said in zip(shown, served, strict=True)]
        show_json({"windows": found, "limits": [asdict(one) for one in limits]})
        return
    # Windows without decisions have no figures, so they are only counted.
    filled, empty = ([one for one in judged if bool(one.decisions) is is_filled] for is_filled in (True, False))
    newest = filled[-limit:] if limit else filled
    nothing = NOTHING if empty else NONE_RAN.format(start=command(names, "monitor", "--start"))
    rejected = find_rejected(environment, names, judged)
    spans = {(one.window.start, one.window.end): one for one in served_windows(filled, rejected=rejected)}
    rows = [_row(window, watched) | _served(spans.get((window.start, window.end))) for window in newest]
    show_rows(rows, as_json=False, nothing=nothing)
    if left := len(filled) - len(newest):
        typer.echo(f"\nand {left:,} earlier: --limit 0 shows all", err=True)
    for window in newest:
        if window.shifts:
            print(f"\n{window.start} to {window.end}: {'; '.join(window.shifts)}")
    if empty:
        many = count(len(empty), "window").capitalize()
        print(f"\n{many} without decisions, {empty[0].start} to {empty[-1].end}.")
    for run in runs:
        if run.report.feedback:
            print(f"\nRun of {run.report.as_of:%Y-%m-%d}: {run.report.feedback.sentence}.")
    _show_limits(limits)


def _row(window: MonitoredWindow, watched: Watched | None) -> dict[str, Any]:
    """The window as a row of the table, with the figures of all alarms.

    Errors are in the task's own unit if the champion's evaluation says it."""

    # Without the champion's evaluation the unit is not known.
    def amount(error: float | None) -> str:
        if error is None:
            return ""
        return watched.evaluation.error.amount(error) if watched else short(error)

    return {
        "from": window.start,
        "to": window.end,
        "version": window.version,
        "decisions": window.decisions,
        "labelled": _labelled(window),
        # The table shows `_` in a name as a space: `input drift / bound`.
        **{f"{name}_/_bound": "" if ratio is None else f"{ratio:.2f}" for name, ratio in window.ratios.items()},
        "column": window.column,
        "mean_error": _error(window, amount),
        "its_bound": amount(window.error_bound) or "off",
    }


def _served(found: ServedWindow | None) -> dict[str, str]:
    """Who else than the model answered, and how fast: the cells that say something."""
    if found is None:
        return {}
    counts = {"fallback": found.served.fallback, "people": found.served.review}
    cells = {name: f"{count / found.window.decisions:.1%}" for name, count in counts.items() if count}
    if refused := sum(found.refused.values()):
        cells["refused"] = f"{refused:,}"
    return cells | ({"p50_/_p95_/_p99_ms": found.percentiles_ms} if found.served.calls else {})


def _error(window: MonitoredWindow, amount: Callable[[float | None], str]) -> str:
    """The error, with its interval if labels are missing; before any has come what is expected of the model."""
    if window.mean_error is not None:
        return _between(amount(window.mean_error), window.low, window.high, amount)
    if window.expected is None:
        return "not known"
    low, high = window.expected_interval or (None, None)
    return f"expects {_between(amount(window.expected), low, high, amount)}"


def _between(said: str, low: float | None, high: float | None, amount: Callable[[float | None], str]) -> str:
    return said if low == high else f"{said} ({amount(low)} to {amount(high)})"


def _labelled(window: MonitoredWindow) -> str:
    """How many decisions have a label: `300`, or `300 of 320` if rows that came again make the answered rows (320)
    other in number than the decisions."""
    if window.labelled is None:
        return "not looked at"
    return f"{window.labelled}" if window.answered == window.decisions else f"{window.labelled} of {window.answered}"


def _show_limits(limits: tuple[Limit, ...]) -> None:
    for limit in limits:
        print(f"\n{limit.sentence}.")


Queue = Annotated[
    str,
    typer.Argument(
        default_factory=lambda: "", show_default="all, by their numbers", help="A dead-letter queue: `drops`."
    ),
]
Redrive = Annotated[
    bool, flag("--redrive", "Let SQS move the messages of QUEUE back to the queue that they came from.")
]
Delete = Annotated[
    str,
    text("Delete this message of QUEUE, which no function will ever take; its body is shown once more.", metavar="ID"),
]


def dead(target: Target, json: Json, queue: Queue, redrive: Redrive, delete: Delete) -> None:
    """List the dead-letter queues, show up to ten messages of one, send its messages back, or delete one.

    Example: millrace dead drops, then, once their cause is mended, millrace dead drops --redrive. Messages that are
    shown stay where they are. Records of the stream that its function gave up go back into the stream. A
    queue that no function reads takes nothing back: its letters are events. Start the machine anew with the detail of
    such an event."""
    from millrace.console.queries import dead_letters

    environment, names = target.find_deployed()
    if (redrive or delete) and not queue:
        raise typer.BadParameter("expected the QUEUE, got none", param_hint="--redrive" if redrive else "--delete")
    if redrive and delete:
        raise typer.BadParameter("expected this or --redrive, got both", param_hint="--delete")
    if delete:
        letter = dead_letters.delete(environment, names, queue, delete)
        print(f"{queue}: deleted {letter.id}, sent {letter.sent:%Y-%m-%d %H:%M:%S}: {letter.body}")
        return
    if redrive:
        moved = dead_letters.redrive(environment, names, queue)
        print(f"{queue}: {count(moved, 'message')} on the way back")
        return
    # Without a queue its numbers, with one its messages: looking moves nothing.
    found: Sequence[Any] = (
        dead_letters.read_dead_letters(environment, names, queue)
        if queue
        else dead_letters.find_dead_queues(environment, names)
    )
    show(found, as_json=json, nothing=f"No dead letter in {queue}.")


def consumers(target: Target, json: Json) -> None:
    """Show the consumers of decisions: how many messages wait for each, and how many it has refused too often.

    Example: millrace consumers, then, once a target is mended, millrace dead consumer-crm --redrive."""
    from millrace.console.queries.dead_letters import find_consumers

    environment, names = target.find_deployed()
    nothing = f"{names.workload} declares no consumer in this stage: docs/review.md#consumers."
    show(find_consumers(environment, names), as_json=json, nothing=nothing)
