"""How people read a run of `monitor`: its windows, the figure of each alarm, why it was raised, and those that stay."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime

from millrace.console.presenters.presenter import Document, Outcome, Presenter, TimelineEntry, until
from millrace.console.queries.drops import ReasonCount
from millrace.console.queries.executions import Execution, answer
from millrace.console.queries.monitoring import MonitorRun
from millrace.console.queries.report import WorkloadReport
from millrace.console.words import count, listed, spelled, times
from millrace.messages.monitor import (
    DriftFinding,
    MetricsPublished,
    MonitorReport,
    NoWindows,
    WindowReport,
    WindowsPlanned,
)
from millrace.monitoring.alarms import COUNT_ALARMS, RATIO_ALARMS, exceeded
from millrace.timestamps import format_utc


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


def _subject(given: Document, _: Document) -> str:
    return f"windows until {str(given['as_of'])[:10]}" if "as_of" in given else ""


NOT_JUDGED: Mapping[NoWindows, str] = {
    NoWindows.NO_CHAMPION: "no version is live",
    NoWindows.NOT_YET: "the moment to judge as of has not come",
    NoWindows.NONE_COMPLETE: "no new window is complete; decisions for earlier windows are not judged again",
}
"""Why a run judged nothing, in words."""


def _outcome(run: Execution, _: Sequence[ReasonCount]) -> Outcome:
    planned = answer(run, "plan_windows", WindowsPlanned)
    published = answer(run, "publish_metrics", MetricsPublished)
    if published is None:
        why = f": {NOT_JUDGED[planned.reason]}" if planned and planned.reason else ""
        if planned is None or planned.reason is not NoWindows.NOT_YET:
            return Outcome(text=f"nothing judged{why}")
        detail = f"expected a moment until the run's start, {format_utc(run.started)}, got {run.input['as_of']}"
        return Outcome(text=f"nothing judged{why}", detail=detail, is_refused=True)
    # An alarm that is no more has no noun.
    nouns = {name: RATIO_ALARMS[name].noun if name in RATIO_ALARMS else name for name in published.ratios}
    findings = [f"{nouns[name]} {one:.3g} × its bound" for name, one in published.ratios.items() if one is not None]
    left = planned.days_left_out if planned else 0
    older = [f"decisions of {count(left, 'day')} before the first window left out"] if left else []
    windows = "window" if published.judged == 1 else "windows"
    refused = [f"{share:.2%} of the rows of {feed} refused" for feed, share in published.refused.items() if share]
    stay = [f"the alarm {one} stays" for one in RATIO_ALARMS if any(each.endswith(one) for each in published.alarms)]
    return Outcome(text=", ".join([f"{published.judged} {windows} judged", *findings, *stay, *refused, *older]))


def _stays(run: Execution) -> bool:
    """Whether an alarm stays: no event tells of it, so the monitor asks the guard for a retraining."""
    published = answer(run, "publish_metrics", MetricsPublished)
    return bool(published and published.alarms)


def _quiet(runs: Sequence[Execution], report: WorkloadReport) -> TimelineEntry | None:
    """One entry for the runs that judged a window and raised no alarm; None if there are none.

    An alarm that was raised before may still be on."""
    arns, raisers = {run.arn for run in runs}, [monitor_run_before(report, alarm.at) for alarm in report.alarms]
    # Runs of the stretch that judged something, without those that raised an alarm.
    calm = [run for run in report.monitor_runs if run.arn in arns and run not in raisers]
    if not calm:
        return None
    # Of the windows that were looked at, only those with enough decisions count as judged.
    looked = [window for run in calm for window in run.report.windows if window.input]
    decisions, judged = sum(window.decisions for window in looked), sum(run.report.judged for run in calm)
    worst = list(_largest(calm))
    silence = "no new alarm" if any(exceeded(run.report) for run in calm) else "no alarm"
    detail = f"{count(len(calm), 'monitor run')}, {count(len(looked), 'window')}"
    thin = f", {len(looked) - judged:,} of them with too few decisions to judge" if len(looked) > judged else ""
    return TimelineEntry(
        at=calm[0].started,
        what=f"{decisions:,} decisions monitored, {silence if judged else 'too few to judge'}",
        detail=until(calm) + detail + thin + (f": {', '.join(worst)} of the bound" if worst else ""),
    )


def _largest(runs: Sequence[MonitorRun]) -> Iterator[str]:
    """The largest figure of each alarm that has one: `drift at most 0.57`."""
    for alarm in RATIO_ALARMS.values():
        figures = [figure for run in runs if (figure := alarm.ratio(run.report)) is not None]
        if figures:
            yield f"{alarm.noun} at most {times(max(figures))}"


PRESENTER = Presenter(subject=_subject, outcome=_outcome, tone="bad", is_told=_stays, quiet=_quiet)
