"""The runs of a workload as a timeline: an entry for each run that matters, and one for each quiet stretch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, time
from itertools import starmap

from millrace.console.presenters.catalogue import PRESENTERS, outcome, titled
from millrace.console.presenters.monitor import explain, monitor_run_before
from millrace.console.presenters.presenter import RunSummary, TimelineEntry
from millrace.console.queries.executions import Execution
from millrace.console.queries.monitoring import AlarmRaised
from millrace.console.queries.report import WorkloadReport
from millrace.console.queries.runs import parent_of
from millrace.console.words import count, spelled
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
        summary = _summary(run, report)
        raised = [alarm for alarm in report.alarms if alarm.execution_arn == run.arn]
        # Runs without a summary are collected until something happens, then reported together.
        if summary is None:
            quiet.append(run)
        if summary or raised:
            yield from _quiet(quiet, report)
            quiet = []
        yield from (_alarm(alarm, report) for alarm in raised)
        if summary is None:
            continue
        # A run that an alarm started has the alarm as its cause.
        because = next((f"alarm {alarm.name}" for alarm in raised if alarm.starts_retraining), _cause(run, report))
        yield TimelineEntry(
            at=datetime.combine(summary.day, time(), UTC) if summary.day else run.started,
            what=summary.what,
            detail=summary.detail,
            tone=summary.tone,
            because=because,
            seconds=run.seconds,
            is_later=summary.day is not None,
        )
    yield from _quiet(quiet, report)


def _cause(run: Execution, report: WorkloadReport) -> str:
    """What caused the run: the title of the run that started it or put its event, else the schedule of retrainings.
    Empty if neither."""
    parent = parent_of(run.input)
    scheduled = "the schedule" if run.machine == "retrain" and "schedule" in run.input.get("detail", {}) else ""
    return next((titled(report.names, each) for each in report.runs if each.arn == parent), scheduled)


def _summary(run: Execution, report: WorkloadReport) -> RunSummary | None:
    """The summary of a run that matters; None for a run that belongs to a quiet stretch."""
    if run.status == "RUNNING":
        return RunSummary(what=f"{titled(report.names, run)} is running", detail="")
    if not run.is_good:
        return RunSummary(what=f"{titled(report.names, run)}: {run.status.lower()}", detail=run.failure, tone="bad")
    presenter = PRESENTERS.get(run.machine)
    if presenter is None:
        return RunSummary(what=titled(report.names, run), detail=outcome(run).text)
    return presenter.summary(run, report)


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
