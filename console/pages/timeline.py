"""The runs of a workload as a line of events: one entry for each that matters, one for each quiet stretch between."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from console.pages.words import brief, count, day, listed, spelled, times
from console.queries.answers import answer, committed_of, reason_of
from console.queries.executions import Execution
from console.queries.monitoring import AlarmRaised, MonitorRun
from console.queries.outcome import outcome
from console.queries.quarantine import ReasonCount
from console.queries.report import WorkloadReport
from console.queries.run_title import run_title, titled
from console.queries.runs import parent_of
from millrace.messages.monitor import DriftFinding, MetricsPublished, MonitorReport, WindowReport
from millrace.messages.release import ReleaseStarted, Rollback, SmokeTested
from millrace.messages.retrain import RetrainingDecided
from millrace.messages.score import Delivered
from millrace.messages.train import BudgetChecked, DatasetPinned, GatesJudged, VersionRegistered

Tone = Literal["good", "bad", "watch", "plain"]
"""How an entry is marked, by colour and by shape."""


@dataclass(frozen=True, kw_only=True)
class TimelineEntry:
    """One event, by the environment's clock."""

    at: datetime
    what: str
    detail: str
    tone: Tone = "plain"
    because: str = ""
    """Its cause; empty for what a person did."""
    seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class _Said:
    """The words of an entry."""

    what: str
    detail: str
    tone: Tone = "plain"


def timeline(report: WorkloadReport) -> tuple[TimelineEntry, ...]:
    """The entries in order of time."""
    return tuple(_entries(report))


def _entries(report: WorkloadReport) -> Iterator[TimelineEntry]:
    raised = {alarm.execution: alarm for alarm in report.alarms}
    quiet: list[Execution] = []
    for run in report.runs:
        line = _say(run, report)
        if line is None:
            quiet.append(run)
            continue
        yield from _quiet(quiet, report)
        quiet = []
        if run.arn in raised:
            yield _alarm(raised[run.arn], report)
        because = f"alarm {raised[run.arn].name}" if run.arn in raised else _cause(run, report)
        yield TimelineEntry(
            at=run.started, what=line.what, detail=line.detail, tone=line.tone, because=because, seconds=run.seconds
        )
    yield from _quiet(quiet, report)


def _cause(run: Execution, report: WorkloadReport) -> str:
    """The run that started it or put the event that did, else the schedule of retrainings; empty without a cause."""
    parent = parent_of(run.input)
    scheduled = "the schedule" if run.machine == "retrain" and "schedule" in run.input.get("detail", {}) else ""
    return next((titled(report.names, each) for each in report.runs if each.arn == parent), scheduled)


def _say(run: Execution, report: WorkloadReport) -> _Said | None:
    """The words for a run that matters; None for one that belongs to a quiet stretch."""
    if run.status == "RUNNING":
        return _Said(what=f"{titled(report.names, run)} is running", detail="")
    if not run.is_good:
        return _Said(what=f"{titled(report.names, run)}: {run.status.lower()}", detail=run.failure, tone="bad")
    speaker = SPEAKERS.get(run.machine)
    return speaker(run, report) if speaker else _Said(what=titled(report.names, run), detail=outcome(run).text)


def _quiet(stretch: Sequence[Execution], report: WorkloadReport) -> Iterator[TimelineEntry]:
    """One entry for all files, one for all monitor runs that raised no alarm; nothing for an empty stretch."""
    files = [run for run in stretch if run.machine == "ingest"]
    raisers = [_raiser(alarm, report) for alarm in report.alarms]
    arns = {run.arn for run in stretch}
    calm = [run for run in report.monitor_runs if run.arn in arns and run not in raisers]
    if files:
        yield _files(files, report)
    if calm:
        yield _calm(calm)


def _files(files: Sequence[Execution], report: WorkloadReport) -> TimelineEntry:
    rows = sum(made.rows_accepted for each in files if (made := committed_of(each)))
    names = sorted(run_title(report.names, each.machine, each.input) for each in files)
    last = f" to {names[-1]}" if len(names) > 1 else ""
    span = _span(files[0].started, files[-1].started)
    return TimelineEntry(
        at=files[0].started,
        what=f"{count(len(files), 'file')} ingested".capitalize(),
        detail=f"{span}{names[0]}{last}: {rows:,} rows accepted, none quarantined",
        seconds=sum(run.seconds for run in files),
    )


def _span(first: datetime, last: datetime) -> str:
    """`until 1 May 1997; ` for an entry of several days; empty for one day."""
    return f"until {day(last)}; " if last.date() > first.date() else ""


def _calm(runs: Sequence[MonitorRun]) -> TimelineEntry:
    drifts = [ratio for run in runs if (ratio := run.report.input_ratio) is not None]
    errors = [ratio for run in runs if (ratio := run.report.error_ratio) is not None]
    decisions = sum(window.decisions for run in runs for window in run.report.windows if window.input)
    worst = [f"{name} at most {times(max(some))}" for name, some in (("drift", drifts), ("error", errors)) if some]
    span = _span(runs[0].started, runs[-1].started)
    detail = f"{count(len(runs), 'monitor run')}, {count(sum(run.report.judged for run in runs), 'window')}"
    return TimelineEntry(
        at=runs[0].started,
        what=f"{decisions:,} decisions monitored, no alarm",
        detail=span + detail + (f": {', '.join(worst)} of the bound" if worst else ""),
    )


def _alarm(alarm: AlarmRaised, report: WorkloadReport) -> TimelineEntry:
    raiser = _raiser(alarm, report)
    return TimelineEntry(
        at=alarm.at,
        what=f"Alarm: {spelled(alarm.name)}",
        detail=(moved(raiser.report) if alarm.metric == "drift" else lasting(raiser, report)) if raiser else "",
        tone="bad",
        because=next((titled(report.names, run) for run in report.runs if raiser and run.arn == raiser.arn), ""),
    )


def _raiser(alarm: AlarmRaised, report: WorkloadReport) -> MonitorRun | None:
    """The monitor run that put the metric: the last one before the alarm."""
    before = [run for run in report.monitor_runs if run.started < alarm.at]
    return before[-1] if before else None


def moved(report: MonitorReport) -> str:
    """The columns above their bound, by the window that moved most; empty when none is above."""
    window = worst_window(report)
    if window is None or window.input is None:
        return ""
    above = [finding for finding in window.input.findings if finding.ratio > 1]
    columns = listed(list(dict.fromkeys(finding.column for finding in above)))
    span = f"from {window.start:%-d %B} to {window.end:%-d %B}"
    return f"{columns}: {_statistic(above[0], window.input.rows)}, {span}" if above else ""


def lasting(run: MonitorRun, report: WorkloadReport) -> str:
    """The error that each of the windows in a row exceeded, with its bound; empty without a judged one."""
    judged = [(each.error.ratio, each) for each in run.report.windows if each.error and each.error.ratio is not None]
    if not judged or run.error_bound is None:
        return ""
    ratio, window = max(judged, key=lambda pair: pair[0])
    meaning = report.error_of(run.report.model_version)
    if meaning is None:
        return f"{times(ratio)} × its bound in each of the last windows until {window.end:%-d %B}"
    least, bound = meaning.amount(ratio * run.error_bound), meaning.amount(run.error_bound)
    return f"{meaning.name} {least} or more in each of the last windows until {window.end:%-d %B}; the bound is {bound}"


def worst_window(report: MonitorReport) -> WindowReport | None:
    """The window whose input moved most, the first of several; None when none was judged."""
    judged = [(each.input.ratio, each) for each in report.windows if each.input and each.input.ratio is not None]
    return max(judged, key=lambda pair: pair[0])[1] if judged else None


def _statistic(finding: DriftFinding, rows: int) -> str:
    if finding.statistic == "differing_rows":
        return f"constant in training, {finding.value:,.0f} of {rows:,} rows differ"
    return f"{spelled(finding.statistic)} {times(finding.ratio)} × its bound"


def _ingested(run: Execution, report: WorkloadReport) -> _Said | None:
    refused, committed = report.quarantined.get(run.name, ()), committed_of(run)
    name = run_title(report.names, run.machine, run.input)
    if committed is None or committed.duplicate:
        return _Said(what=f"{name} added no rows", detail=outcome(run).text, tone="watch")
    if not refused:
        return None
    detail = f"{committed.rows_accepted:,} rows accepted, {_quarantined(refused)}"
    return _Said(what=f"{name} ingested with bad rows", detail=detail, tone="watch")


def _quarantined(refused: Sequence[ReasonCount]) -> str:
    """`48 quarantined (duplicate key): timestamp: expected …`."""
    rows = sum(each.rows for each in refused)
    return f"{rows:,} quarantined ({listed([each.reason for each in refused])}): {refused[0].example}"


def _scored(run: Execution, report: WorkloadReport) -> _Said:
    delivered, refused = answer(run, "delivery", Delivered), report.quarantined.get(run.name, ())
    detail = [f"{count(delivered.rows, 'prediction')} delivered" if delivered else "rejected whole, nothing delivered"]
    detail += [_quarantined(refused)] if refused else []
    detail += [f"in {brief(delivered.uri)}"] if delivered else []
    return _Said(what=f"{run_title(report.names, run.machine, run.input)} scored", detail=", ".join(detail))


def _trained(run: Execution, _: WorkloadReport) -> _Said:
    budgeted, pinned = answer(run, "budget", BudgetChecked), answer(run, "snapshot", DatasetPinned)
    gated, registered = answer(run, "gating", GatesJudged), answer(run, "registration", VersionRegistered)
    title = "First training" if reason_of(run) == "first" else "Training"
    if gated is None:
        return _Said(what=f"{title} not started", detail=(budgeted and budgeted.reason) or "", tone="watch")
    rows = f"{pinned.rows:,} rows" if pinned else ""
    if pinned and pinned.absorbed:
        rows += f", {pinned.absorbed:,} of them decisions with their late labels"
    if registered:
        detail = f"{rows}; passed {count(len(gated.verdicts), 'gate')}: {gated.verdicts[-1].sentence}"
        return _Said(what=f"{title}: version {registered.version}", detail=detail, tone="good")
    sentences = "; ".join(verdict.sentence for verdict in gated.refusals)
    refusal = f"{title}: model refused by {listed([verdict.name for verdict in gated.refusals])}"
    return _Said(what=refusal, detail=f"{rows}; {sentences}", tone="bad")


def _released(run: Execution, _: WorkloadReport) -> _Said:
    opened, probed = answer(run, "start_release", ReleaseStarted), answer(run, "smoke_test", SmokeTested)
    version = opened.version if opened else ""
    if opened and opened.outcome != "open":
        return _Said(what=f"Version {version} not released", detail=opened.outcome, tone="watch")
    detail = [probed.sentence] if probed else []
    if (rollback := run.input.get("rollback")) and opened:
        request = Rollback.model_validate(rollback)
        detail.insert(0, f"{request.reason} (requested by {brief(request.who)})")
        return _Said(what=f"Rolled back to version {version}", detail="; ".join(detail), tone="watch")
    detail += [f"replaces version {opened.previous_version}"] if opened and opened.previous_version.isdigit() else []
    return _Said(what=f"Version {version} released", detail="; ".join(detail), tone="good")


def _monitored(run: Execution, report: WorkloadReport) -> _Said | None:
    """Quiet, unless an alarm that was raised before stays: its state does not change, so the monitor asks the guard."""
    published = answer(run, "publish_metrics", MetricsPublished)
    judged = next((each.report for each in report.monitor_runs if each.arn == run.arn), None)
    if published is None or not published.alarms or judged is None:
        return None
    names = [spelled(alarm.removeprefix(f"{report.names.prefix}-")) for alarm in published.alarms]
    return _Said(what=f"The alarm stays: {listed(names)}", detail=moved(judged), tone="bad")


def _retrained(run: Execution, _: WorkloadReport) -> _Said | None:
    guarded = answer(run, "guard", RetrainingDecided)
    if guarded is None:
        return None
    if guarded.accepted:
        return _Said(what="Retraining accepted", detail=guarded.sentence, tone="watch")
    until = f"; earliest {day(guarded.earliest_next)}" if guarded.earliest_next else ""
    return _Said(
        what=f"Retraining refused: {spelled(guarded.reason)}", detail=f"{guarded.sentence}{until}", tone="watch"
    )


SPEAKERS: Mapping[str, Callable[[Execution, WorkloadReport], _Said | None]] = {
    "ingest": _ingested,
    "score": _scored,
    "train": _trained,
    "release": _released,
    "monitor": _monitored,
    "retrain": _retrained,
}
