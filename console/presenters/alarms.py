"""Why an alarm was raised, in words. An alarm without an explanation of its own has its figure and the window."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from console.words import count, listed, spelled, times
from millrace.messages.monitor import DriftFinding, MonitorReport, WindowReport
from millrace.monitoring.alarms import COUNT_ALARMS, RATIO_ALARMS

if TYPE_CHECKING:
    from console.queries.monitoring import MonitorRun
    from console.queries.report import WorkloadReport


def explain(name: str, run: MonitorRun, report: WorkloadReport) -> str:
    """What the monitor run found that raises the alarm of this name; empty when it found nothing above the bound."""
    own = EXPLANATIONS.get(name)
    return own(run, report) if own else _exceeded(name, run.report)


def monitor_run_before(report: WorkloadReport, at: datetime) -> MonitorRun | None:
    """The last monitor run that judged something and had started at `at`: the one that put an alarm's metric."""
    before = [run for run in report.monitor_runs if run.started <= at]
    return before[-1] if before else None


def worst_window(name: str, report: MonitorReport) -> tuple[WindowReport, float] | None:
    """The window with the alarm's largest figure, the first of several, with it; None when no window has one."""
    alarm = RATIO_ALARMS.get(name)
    figures = ((window, alarm.of_window(window)) for window in report.windows) if alarm else ()
    known = [(window, figure) for window, figure in figures if figure is not None]
    return max(known, key=lambda pair: pair[1]) if known else None


def _exceeded(name: str, report: MonitorReport) -> str:
    if counted := COUNT_ALARMS.get(name):
        found = counted.count(report)
        return count(found, counted.noun) if found else ""
    worst = worst_window(name, report)
    if worst is None or worst[1] <= 1:
        return ""
    window, figure = worst
    return f"{RATIO_ALARMS[name].noun} {times(figure)} × its bound, {_span(window)}"


def _moved(run: MonitorRun, _: WorkloadReport) -> str:
    """The columns above their bound, by the window that moved most; empty when none is above."""
    found = worst_window("input-drift", run.report)
    if found is None or found[0].input is None:
        return ""
    window, judged = found[0], found[0].input
    above = [finding for finding in judged.findings if finding.ratio > 1]
    columns = listed(list(dict.fromkeys(finding.column for finding in above)))
    return f"{columns}: {_statistic(above[0], judged.rows)}, {_span(window)}" if above else ""


def _lasting(run: MonitorRun, report: WorkloadReport) -> str:
    """The error that each of the windows in a row exceeded, with its bound; empty without a judged one."""
    found = worst_window("error", run.report)
    limit = run.bound_of(found[0].error) if found else None
    if found is None or limit is None:
        return ""
    window, ratio = found
    meaning = report.error_of(run.report.model_version)
    if meaning is None:
        return f"{times(ratio)} × its bound in each of the last windows until {window.end:%-d %B}"
    least, bound = meaning.amount(ratio * limit), meaning.amount(limit)
    return f"{meaning.name} {least} or more in each of the last windows until {window.end:%-d %B}; the bound is {bound}"


def _statistic(finding: DriftFinding, rows: int) -> str:
    if finding.statistic == "differing_rows":
        return f"constant in training, {finding.value:,.0f} of {rows:,} rows differ"
    return f"{spelled(finding.statistic)} {times(finding.ratio)} × its bound"


def _span(window: WindowReport) -> str:
    return f"from {window.start:%-d %B} to {window.end:%-d %B}"


EXPLANATIONS: Mapping[str, Callable[[MonitorRun, WorkloadReport], str]] = {"input-drift": _moved, "error": _lasting}
"""By the alarm's name."""
