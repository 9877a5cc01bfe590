"""The runs of a workload as a timeline: an entry for each run that matters, and one for each quiet stretch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, time
from itertools import starmap

from millrace.console.presenters.catalogue import PRESENTERS, outcome, run_title, titled
from millrace.console.presenters.monitor import explain, monitor_run_before
from millrace.console.presenters.presenter import TimelineEntry
from millrace.console.queries.executions import Execution, drops_of
from millrace.console.queries.monitoring import AlarmRaised
from millrace.console.queries.report import WorkloadReport
from millrace.console.queries.runs import parent_of
from millrace.console.words import brief, count, spelled
from millrace.messages.audit import RowsWithdrawn


def timeline(report: WorkloadReport) -> tuple[TimelineEntry, ...]:
    """The entries in the order of time."""
    return tuple(_with_withdrawals(_in_order(_entries(report)), report.withdrawals))


def _in_order(entries: Iterable[TimelineEntry]) -> Iterator[TimelineEntry]:
    """The entries in the order of their runs, but for those that happened on a later day than their run began."""
    held: list[TimelineEntry] = []
    for entry in entries:
        while held and held[0].at <= entry.at:
            yield held.pop(0)
        if entry.is_later:
            held.append(entry)
        else:
            yield entry
    yield from held


def _with_withdrawals(
    entries: Iterable[TimelineEntry], withdrawals: Sequence[tuple[datetime, RowsWithdrawn]]
) -> Iterator[TimelineEntry]:
    """The entries with the withdrawals between them, each before the first entry that is later."""
    left = list(withdrawals)
    for entry in entries:
        while left and left[0][0] < entry.at:
            yield _withdrawal(*left.pop(0))
        yield entry
    yield from starmap(_withdrawal, left)


def _withdrawal(at: datetime, one: RowsWithdrawn) -> TimelineEntry:
    gone = f"{count(one.rows, 'row')} and {count(one.labels, 'label')}"
    return TimelineEntry(
        at=at, what=f"{one.drop.partition('/')[2]} withdrawn", detail=f"{gone}: {one.reason}", tone="watch"
    )


def _entries(report: WorkloadReport) -> Iterator[TimelineEntry]:
    """The entries of runs and alarms, in the order of the runs."""
    quiet: list[Execution] = []
    for run in report.runs:
        raised = [alarm for alarm in report.alarms if alarm.execution_arn == run.arn]
        # Runs of which nothing is told are collected until something happens, then reported together.
        if not (is_told := _is_told(run)):
            quiet.append(run)
        if is_told or raised:
            yield from _quiet(quiet, report)
            quiet = []
        yield from (_alarm(alarm, report) for alarm in raised)
        if is_told:
            # A run that an alarm started has the alarm as its cause.
            alarm = next((f"alarm {alarm.name}" for alarm in raised if alarm.starts_retraining), "")
            yield _told(run, report, because=alarm or _cause(run, report))
    yield from _quiet(quiet, report)


def _is_told(run: Execution) -> bool:
    """Whether the run has an entry of its own."""
    presenter = PRESENTERS.get(run.machine)
    return not run.is_good or presenter is None or presenter.is_told(run)


def _told(run: Execution, report: WorkloadReport, *, because: str) -> TimelineEntry:
    """The entry of a run: its title with its outcome, as the list of runs has them.

    The outcome alone where it names what the run is about: `released version 2`."""
    drops, presenter = drops_of(run), PRESENTERS.get(run.machine)
    found = outcome(run, report.quarantined.get(drops[0].drop_id, ()) if len(drops) == 1 else ())
    where = f"in {brief(found.uri)}" if found.uri else ""
    since = presenter.day(run, report) if presenter and run.is_good else None
    is_later = since is not None and since != run.started.date()
    subject = run_title(report.names, run.machine, run.input)
    title = "" if subject and subject in found.text else titled(report.names, run)
    tone = presenter.tone if presenter and run.is_good else "plain" if run.status == "RUNNING" else "bad"
    return TimelineEntry(
        at=datetime.combine(since, time(), UTC) if since and is_later else run.started,
        what=": ".join(filter(None, (title, found.text))),
        detail="; ".join(filter(None, (found.warning, found.detail, where))),
        tone="watch" if found.is_refused or found.warning or found.look else tone,
        because=because,
        seconds=run.seconds,
        is_later=is_later,
    )


def _cause(run: Execution, report: WorkloadReport) -> str:
    """What caused the run: the title of the run that started it or put its event, else the schedule of retrainings.
    Empty if neither."""
    parent = parent_of(run.input)
    scheduled = "the schedule" if run.machine == "retrain" and "schedule" in run.input.get("detail", {}) else ""
    return next((titled(report.names, each) for each in report.runs if each.arn == parent), scheduled)


def _quiet(stretch: Sequence[Execution], report: WorkloadReport) -> Iterator[TimelineEntry]:
    """One entry for each machine with runs in the stretch, as its presenter sums them up."""
    for machine, presenter in PRESENTERS.items():
        runs = [run for run in stretch if run.machine == machine]
        if runs and (entry := presenter.quiet(runs, report)):
            yield entry


def _alarm(alarm: AlarmRaised, report: WorkloadReport) -> TimelineEntry:
    raiser = monitor_run_before(report, alarm.at)
    return TimelineEntry(
        at=alarm.at,
        what=f"Alarm: {spelled(alarm.name)}",
        detail=explain(alarm.name, raiser, report) if raiser else "",
        tone="bad",
        because=next((titled(report.names, run) for run in report.runs if raiser and run.arn == raiser.arn), ""),
    )
