"""How people read a run of `monitor`: its windows, the figure of each alarm, and the alarms that stay."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from millrace.console.presenters.alarms import explain, monitor_run_before
from millrace.console.presenters.presenter import Document, Outcome, Presenter, RunSummary, TimelineEntry, until
from millrace.console.queries.drops import ReasonCount
from millrace.console.queries.executions import Execution, answer
from millrace.console.queries.monitoring import MonitorRun
from millrace.console.queries.report import WorkloadReport
from millrace.console.words import count, listed, times
from millrace.messages.monitor import MetricsPublished, NoWindows, WindowsPlanned
from millrace.monitoring.alarms import RATIO_ALARMS, exceeded
from millrace.timestamps import format_utc


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
    figures = ((_noun(name), ratio) for name, ratio in published.ratios.items() if ratio is not None)
    findings = [f"{noun} {ratio:.3g} × its bound" for noun, ratio in figures]
    left = planned.days_left_out if planned else 0
    older = [f"decisions of {count(left, 'day')} before the first window left out"] if left else []
    windows = "window" if published.judged == 1 else "windows"
    refused = [f"{share:.2%} of the rows of {feed} refused" for feed, share in published.refused.items() if share]
    return Outcome(text=", ".join([f"{published.judged} {windows} judged", *findings, *refused, *older]))


def _noun(alarm: str) -> str:
    """The noun for the alarm's figure; the alarm's name if there is no such alarm any more."""
    return RATIO_ALARMS[alarm].noun if alarm in RATIO_ALARMS else alarm


def _summary(run: Execution, report: WorkloadReport) -> RunSummary | None:
    """The summary of a run in which an alarm stays; None for other runs.

    The state of such an alarm does not change, so no event starts a retraining: the monitor asks the guard."""
    published = answer(run, "publish_metrics", MetricsPublished)
    judged = next((each for each in report.monitor_runs if each.arn == run.arn), None)
    if published is None or not published.alarms or judged is None:
        return None
    names = [alarm.removeprefix(f"{report.names.prefix}-") for alarm in published.alarms]
    causes = [cause for name in names if (cause := explain(name, judged, report))]
    return RunSummary(what=f"The alarm stays: {listed(names)}", detail="; ".join(causes), tone="bad")


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


PRESENTER = Presenter(subject=_subject, outcome=_outcome, summary=_summary, quiet=_quiet)
