"""Why an alarm was raised, in words. An alarm without an explanation of its own gets its figure and the window."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from millrace.console.queries.monitoring import MonitorRun
from millrace.console.queries.report import WorkloadReport
from millrace.console.words import count, listed, spelled, times
from millrace.messages.monitor import DriftFinding, MonitorReport, WindowReport
from millrace.monitoring.alarms import COUNT_ALARMS, RATIO_ALARMS


def explain(name: str, run: MonitorRun, report: WorkloadReport) -> str:
    """What the monitor run found that raises the alarm of this name; empty if nothing it found is above the bound."""
    own = EXPLANATIONS.get(name)
    return own(run, report) if own else _exceeded(name, run.report)


def monitor_run_before(report: WorkloadReport, at: datetime) -> MonitorRun | None:
    """The last monitor run that judged something and started no later than `at`; None if there is none.

    That run published the metric of an alarm that was raised at `at`."""
    before = [run for run in report.monitor_runs if run.started <= at]
    return before[-1] if before else None


def worst_window(name: str, report: MonitorReport) -> tuple[WindowReport, float] | None:
    """The window with the largest figure of the alarm, and that figure; the first of several equal ones. None if no
    window has a figure."""
    alarm = RATIO_ALARMS.get(name)
    figures = ((window, alarm.of_window(window)) for window in report.windows) if alarm else ()
    known = [(window, figure) for window, figure in figures if figure is not None]
    return max(known, key=lambda pair: pair[1]) if known else None


def _exceeded(name: str, report: MonitorReport) -> str:
    """The alarm's count, or its figure over the bound and the window: `drift 2.31 × its bound, from 1 May to 8 May`."""
    if counted := COUNT_ALARMS.get(name):
        found = counted.count(report)
        return count(found, counted.noun) if found else ""
    worst = worst_window(name, report)
    if worst is None or worst[1] <= 1:
        return ""
    window, figure = worst
    return f"{RATIO_ALARMS[name].noun} {times(figure)} × its bound, {_span(window, report)}"


def _moved(run: MonitorRun, _: WorkloadReport) -> str:
    """The columns above their bound in the window that moved most; empty if none is above."""
    found = worst_window("input-drift", run.report)
    if found is None or found[0].input is None:
        return ""
    window, judged = found[0], found[0].input
    above = [finding for finding in judged.findings if finding.ratio > 1]
    # A column with several statistics above their bounds is named once.
    columns = listed(list(dict.fromkeys(finding.column for finding in above)))
    return f"{columns}: {_statistic(above[0], judged.rows)}, {_span(window, run.report)}" if above else ""


def _lasting(run: MonitorRun, report: WorkloadReport) -> str:
    """The error that each window in a row exceeded, with its bound; empty if no window was judged."""
    found = worst_window("error", run.report)
    limit = run.bound_of(found[0].error) if found else None
    if found is None or limit is None:
        return ""
    ratio, until = found[1], _end(found[0], run.report)
    meaning = report.error_of(run.report.model_version)
    if meaning is None:
        return f"{times(ratio)} × its bound in each of the last windows until {until}"
    # The figure of the alarm is a ratio to the bound, and people read errors in the task's own unit.
    least, bound = meaning.amount(ratio * limit), meaning.amount(limit)
    return f"{meaning.name} {least} or more in each of the last windows until {until}; the bound is {bound}"


def _statistic(finding: DriftFinding, rows: int) -> str:
    """By how much a column moved: its statistic over the bound, or the rows that differ from a former constant."""
    if finding.statistic == "differing_rows":
        return f"constant in training, {finding.value:,.0f} of {rows:,} rows differ"
    return f"{spelled(finding.statistic)} {times(finding.ratio)} × its bound"


def _span(window: WindowReport, report: MonitorReport) -> str:
    return f"from {window.start:%-d %B} to {_end(window, report)}"


def _end(window: WindowReport, report: MonitorReport) -> str:
    """The day of the window's end, with its year if the window was not judged in that year."""
    return f"{window.end:%-d %B}" if window.end.year == report.as_of.year else f"{window.end:%-d %B %Y}"


EXPLANATIONS: Mapping[str, Callable[[MonitorRun, WorkloadReport], str]] = {"input-drift": _moved, "error": _lasting}
"""The explanations by the alarm's name."""
