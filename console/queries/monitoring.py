"""Drift and error of each window of event time, the alarms that they raised, and the champion of each day."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby
from typing import Any

from console.queries.answers import alarm_of, answer
from console.queries.executions import Execution
from console.queries.stored import find_object
from millrace.messages.audit import VersionLive, VersionRolledBack
from millrace.messages.envelope import Message
from millrace.messages.monitor import (
    REPORT_FILE,
    ErrorReport,
    MetricsPublished,
    MonitorReport,
    WindowReport,
    WindowsPlanned,
    read_report,
)
from millrace.monitoring.alarms import RATIO_ALARMS, RatioAlarm, exceeded, published, starters
from millrace.names import WorkloadNames
from millrace.state.audit import Record


@dataclass(frozen=True, kw_only=True)
class MonitorRun:
    """One execution of the monitor that judged windows, with its report."""

    arn: str
    started: datetime
    report: MonitorReport
    error_bound: float | None
    """Mean error of the decisions, as the task counts it, above which it alarms; None for a baseline without one."""
    manifest_uri: str = ""
    """The list of the decisions' objects that it read."""

    def bound_of(self, error: ErrorReport | None) -> float | None:
        """The bound that a window was judged by, which may depend on its rows; else the baseline's."""
        return error.bound if error and error.bound is not None else self.error_bound


@dataclass(frozen=True, kw_only=True)
class MonitoredWindow:
    """One judged window of event time, `start` included, `end` not."""

    start: date
    end: date
    decisions: int
    rows: int
    ratios: Mapping[str, float | None]
    """The figure of each alarm by its name: above 1 alarms; None where the window says nothing about it."""
    column: str
    """The column that moved most."""
    error: float | None
    """The window's own mean error over its bound; None before its labels are ingested."""
    mean_error: float | None
    """The same as the task counts it: a share, or an amount in the label's unit."""
    version: str
    """The model version whose bounds it was judged by."""
    labelled: int | None = None
    """Of the `answered` those with a label; None where the error was not looked at yet."""
    answered: int | None = None
    """Rows that were asked about: one that came again is one, and a decision more."""
    error_bound: float | None = None
    """In the unit of `mean_error`; None where the version has no bound."""


@dataclass(frozen=True, kw_only=True)
class ChampionPeriod:
    """The days, `start` included, `end` not, on which one model version was live."""

    version: str
    start: date
    end: date
    by_rollback: bool = False
    """Whether it was brought back by a person."""


@dataclass(frozen=True, kw_only=True)
class AlarmRaised:
    """A change of state to ALARM."""

    name: str
    """Without the workload's prefix: `input-drift`."""
    at: datetime
    execution_arn: str
    """Of the `retrain` that it started, of `monitor` that found it where it starts none."""
    starts_retraining: bool = True


@dataclass(frozen=True, kw_only=True)
class AlarmStays:
    """A monitor run found the alarm in ALARM and its figure above the bound still, so the guard decides again."""

    name: str
    """Without the workload's prefix."""
    at: datetime


class _Bound(Message):
    bound: float


class MonitoringBounds(Message):
    """The part of a baseline that says what its bounds rest on; see `millrace.monitoring.baseline`."""

    error: _Bound | None = None
    """None: too little history for a bound, and the error is not watched."""
    windows: int = 0
    """Of the history."""


def read_monitor_runs(s3: Any, runs: Iterable[Execution]) -> tuple[MonitorRun, ...]:
    """Those of the executions that judged something and whose report still exists; two objects for each at most."""
    bounds: dict[str, float | None] = {}
    found = []
    for run in runs:
        planned = answer(run, "plan_windows", WindowsPlanned) if "publish_metrics" in run.output else None
        content = find_object(s3, f"{planned.report_uri}/{REPORT_FILE}") if planned else None
        if planned is None or content is None:
            continue
        if planned.baseline_uri not in bounds:
            bounds[planned.baseline_uri] = _error_bound(find_object(s3, planned.baseline_uri))
        bound = bounds[planned.baseline_uri]
        found.append(
            MonitorRun(
                arn=run.arn,
                started=run.started,
                report=read_report(content),
                error_bound=bound,
                manifest_uri=planned.manifest_uri,
            )
        )
    return tuple(found)


def _error_bound(content: bytes | None) -> float | None:
    baseline = MonitoringBounds.model_validate_json(content or b"{}")
    return baseline.error.bound if baseline.error else None


def windows(runs: Sequence[MonitorRun]) -> tuple[MonitoredWindow, ...]:
    """Each window once, in order of time: its input as first judged, its error as last known.

    `runs` are in order of time; several of them may look at one window, since its labels come later."""
    looks = [(window, run) for run in runs for window in run.report.windows]
    looks.sort(key=lambda look: look[0].start)
    grouped = (list(group) for _, group in groupby(looks, key=lambda look: (look[0].start, look[0].end)))
    return tuple(window for group in grouped if (window := _window(group)))


def _window(looks: Sequence[tuple[WindowReport, MonitorRun]]) -> MonitoredWindow | None:
    """None for a window that was only read to complete a row of successive ones."""
    judged = next(((window, window.input, run) for window, run in looks if window.input), None)
    if judged is None:
        return None
    window, seen, run = judged
    errors = [(each.error, by) for each, by in looks if each.error and each.error.error is not None]
    last, by = errors[-1] if errors else (None, run)
    looked = next((each.error for each, _ in reversed(looks) if each.error), None)
    bound = by.bound_of(last)
    return MonitoredWindow(
        start=window.start.date(),
        end=window.end.date(),
        decisions=window.decisions,
        rows=seen.rows,
        ratios={name: _newest(alarm, [each for each, _ in looks]) for name, alarm in RATIO_ALARMS.items()},
        column=seen.findings[0].column if seen.findings else "",
        mean_error=last.error if last else None,
        error=last.error / bound if last and last.error is not None and bound is not None else None,
        version=run.report.model_version,
        labelled=looked.labelled if looked else None,
        answered=looked.answered if looked else None,
        error_bound=bound,
    )


def _newest(alarm: RatioAlarm, looks: Sequence[WindowReport]) -> float | None:
    """The figure as the last look at the window has it; None where no look has one."""
    figures = [alarm.of_window(look) for look in looks]
    return next((figure for figure in reversed(figures) if figure is not None), None)


def champion_periods(records: Iterable[Record], *, until: date) -> tuple[ChampionPeriod, ...]:
    """By the audit's records of releases and rollbacks; the last period ends with `until`."""
    live = [(each.as_of.date(), each.details) for each in records if isinstance(each.details, VersionLive)]
    ends = [*(start for start, _ in live[1:]), *(max(until, start) for start, _ in live[-1:])]
    return tuple(
        ChampionPeriod(version=each.version, start=start, end=end, by_rollback=isinstance(each, VersionRolledBack))
        for (start, each), end in zip(live, ends, strict=True)
    )


def staying_alarms(names: WorkloadNames, runs: Iterable[Execution]) -> tuple[AlarmStays, ...]:
    """As executions of `monitor` published them, in their order."""
    published = ((run, answer(run, "publish_metrics", MetricsPublished)) for run in runs if run.machine == "monitor")
    return tuple(
        AlarmStays(name=alarm.removeprefix(f"{names.prefix}-"), at=run.started)
        for run, found in published
        if found
        for alarm in found.alarms
    )


def raised_alarms(
    names: WorkloadNames, runs: Iterable[Execution], monitor_runs: Iterable[MonitorRun]
) -> tuple[AlarmRaised, ...]:
    """Those that started a retraining, and those that start none, in order of time."""
    return tuple(sorted([*alarms(names, runs), *_without_retraining(monitor_runs)], key=lambda alarm: alarm.at))


def _without_retraining(monitor_runs: Iterable[MonitorRun]) -> Iterator[AlarmRaised]:
    """By the reports, since no execution follows: the first run above the threshold after one that was not."""
    above: frozenset[str] = frozenset()
    for run in monitor_runs:
        found = exceeded(run.report) - {*starters()}
        for name in sorted(found - above):
            yield AlarmRaised(name=name, at=run.started, execution_arn=run.arn, starts_retraining=False)
        # A metric without a value leaves its alarm as it was.
        above = found | {name for name in above if published(run.report)[name] is None}


def alarms(names: WorkloadNames, runs: Iterable[Execution]) -> tuple[AlarmRaised, ...]:
    """Those that started one of the executions of `retrain`, in their order; other machines inherit its input."""
    started = [run for run in runs if run.machine == "retrain" and alarm_of(run)]
    return tuple(
        AlarmRaised(name=alarm_of(run).removeprefix(f"{names.prefix}-"), at=run.started, execution_arn=run.arn)
        for run in started
    )
