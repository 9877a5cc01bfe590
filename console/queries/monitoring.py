"""Drift and error of each window of event time, who answered its rows, the alarms, and the live version of each day."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import groupby
from typing import Any

from millrace.console.environment import Environment
from millrace.console.queries.drops import Drop
from millrace.console.queries.executions import Execution, alarm_of, answer
from millrace.console.queries.money.work import DAY_S, MOST_DAYS, sums
from millrace.console.queries.runs import executions
from millrace.console.queries.stored import find_object
from millrace.messages.envelope import Message
from millrace.messages.monitor import (
    REPORT_FILE,
    ErrorReport,
    MonitorReport,
    ServedReport,
    ShiftKind,
    WindowReport,
    WindowsPlanned,
    read_report,
)
from millrace.monitoring.alarms import COUNT_ALARMS, RATIO_ALARMS, RatioAlarm, exceeded, published
from millrace.names import WorkloadNames

INPUT_SHIFTS: frozenset[ShiftKind] = frozenset({"out_of_support", "covariate_shift"})
"""The shifts that show without a label, so at the first look alone."""


@dataclass(frozen=True, kw_only=True)
class MonitorRun:
    """One execution of `monitor` that judged windows, with its report."""

    arn: str
    started: datetime
    report: MonitorReport
    error_bound: float | None
    """The mean error of decisions above which the baseline alarms, as the task counts errors; None without a bound."""
    manifest_uri: str = ""
    """The URI of its list of the objects with decisions that it read."""

    def bound_of(self, error: ErrorReport | None) -> float | None:
        """The bound that a window was judged by, which may depend on its rows; else the baseline's bound."""
        return error.bound if error and error.bound is not None else self.error_bound


@dataclass(frozen=True, kw_only=True)
class MonitoredWindow:
    """One judged window of event time. `start` is a part of it, `end` is not."""

    start: date
    end: date
    decisions: int
    rows: int
    ratios: Mapping[str, float | None]
    """The figure of each alarm by the alarm's name. Above 1 it alarms; None if the window says nothing about it."""
    column: str
    """The column that moved most; empty if no column was judged."""
    error: float | None
    """The window's own mean error over its bound; None before its labels have come."""
    mean_error: float | None
    """The same error as the task counts it: a share, or an amount in the label's unit."""
    version: str
    """The model version by whose bounds it was judged."""
    labelled: int | None = None
    """How many of `answered` have a label; None if the error was not looked at yet."""
    answered: int | None = None
    """How many rows were answered. A row that came again is one row, but one more decision."""
    error_bound: float | None = None
    """The bound in the unit of `mean_error`; None if the version has no bound."""
    low: float | None = None
    high: float | None = None
    """The interval of `mean_error`, as wide as missing labels leave open."""
    expected: float | None = None
    expected_interval: tuple[float, float] | None = None
    """The error that needs no label, and the ends of its interval, as in `ErrorReport`."""
    shifts: tuple[str, ...] = ()
    """How it differs from training, in words: `out of support (vicprice, transfer)`."""
    served: ServedReport | None = None
    """Who answered, and how fast; None if no look has said it."""


@dataclass(frozen=True, kw_only=True)
class ChampionPeriod:
    """The days on which one model version was live. `start` is one of them, `end` is not."""

    version: str
    start: date
    end: date
    by_rollback: bool = False
    """Whether a rollback brought it back."""


@dataclass(frozen=True, kw_only=True)
class AlarmRaised:
    """An alarm's change of state to ALARM."""

    name: str
    """The name without the workload's prefix: `input-drift`."""
    at: datetime
    execution_arn: str
    """The ARN of the execution of `retrain` that it started.

    If it starts none, the ARN of the execution of `monitor` that found it."""
    starts_retraining: bool = True


class _BoundByRows(Message):
    rows: int
    bound: float


class _Bound(Message):
    bound: float
    by_rows: tuple[_BoundByRows, ...] = ()
    """If the bound rests on the test rows: the bounds by the size of the window."""


class MonitoringBounds(Message):
    """What a baseline says about its bounds, as `millrace.monitoring.baseline` writes it."""

    error: _Bound | None = None
    """None if the history was too short for a bound: the error is not watched then."""
    windows: int = 0
    """How many windows the history has."""
    run: int = 0
    """How many slices of a window the parts have that the bounds rest on."""


def find_monitor_runs(environment: Environment, names: WorkloadNames, *, limit: int) -> tuple[MonitorRun, ...]:
    """Those of the `limit` newest runs that judged something.

    Raises EnvironmentNotFoundError if the workload's monitor is not deployed."""
    runs = executions(environment.client("stepfunctions"), names, limit=limit, machines=("monitor",))
    return read_monitor_runs(environment.client("s3"), runs)


def read_monitor_runs(s3: Any, runs: Iterable[Execution]) -> tuple[MonitorRun, ...]:
    """The executions that judged something and whose report still exists. It reads at most two objects for each."""
    # Runs of one version share a baseline, which is read once.
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
    """The bound on the error in a baseline; None if there is no baseline, or no bound in it."""
    baseline = MonitoringBounds.model_validate_json(content or b"{}")
    return baseline.error.bound if baseline.error else None


def windows(runs: Sequence[MonitorRun]) -> tuple[MonitoredWindow, ...]:
    """Each window once, in the order of time: its input as first judged, its error as last known.

    `runs` are in the order of time. Several of them may look at one window, since its labels come later."""
    looks = [(window, run) for run in runs for window in run.report.windows]
    looks.sort(key=lambda look: look[0].start)
    # `groupby` wants equal windows next to each other. Sorting keeps the looks at one window in the order of the runs.
    grouped = (list(group) for _, group in groupby(looks, key=lambda look: (look[0].start, look[0].end)))
    return tuple(window for group in grouped if (window := _window(group)))


def _window(looks: Sequence[tuple[WindowReport, MonitorRun]]) -> MonitoredWindow | None:
    """One window from all looks at it. None if it was only read to complete a row of successive windows."""
    judged = next(((window, window.input, run) for window, run in looks if window.input), None)
    if judged is None:
        return None
    window, seen, run = judged
    # The last look with an error, with the run that made it: the bound is that run's.
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
        error_bound=bound,
        **{name: getattr(last, name, None) for name in ("low", "high")},
        **{name: getattr(looked, name, None) for name in ("labelled", "answered", "expected", "expected_interval")},
        shifts=_shifts([each for each, _ in looks]),
        served=window.served,
    )


def _shifts(looks: Sequence[WindowReport]) -> tuple[str, ...]:
    """What the first look has said of the input, the last one of the labels, and the last one with an error of what
    people overrode."""
    found = {one.kind: one for look in looks for one in look.shifts}
    by_labels = {one.kind for one in looks[-1].shifts}
    overrides = [look.error.overrides for look in looks if look.error and look.error.overrides]
    return (
        *(
            kind.replace("_", " ") + (f" ({', '.join(one.columns)})" if one.columns else "")
            for kind, one in found.items()
            if kind in INPUT_SHIFTS or kind in by_labels
        ),
        *(one.sentence for one in overrides[-1:]),
    )


def _newest(alarm: RatioAlarm, looks: Sequence[WindowReport]) -> float | None:
    """The alarm's figure at the last look that has one; None if no look has one."""
    figures = [alarm.of_window(look) for look in looks]
    return next((figure for figure in reversed(figures) if figure is not None), None)


def raised_alarms(
    names: WorkloadNames, runs: Iterable[Execution], monitor_runs: Iterable[MonitorRun]
) -> tuple[AlarmRaised, ...]:
    """All raised alarms in the order of time: those that started a retraining, and those that start none."""
    return tuple(sorted([*alarms(names, runs), *_without_retraining(monitor_runs)], key=lambda alarm: alarm.at))


def _without_retraining(monitor_runs: Iterable[MonitorRun]) -> Iterator[AlarmRaised]:
    """The raised alarms that start no execution, by the reports: a run above the threshold after one that was not."""
    above: frozenset[str] = frozenset()
    for run in monitor_runs:
        found = exceeded(run.report) & COUNT_ALARMS.keys()
        for name in sorted(found - above):
            yield AlarmRaised(name=name, at=run.started, execution_arn=run.arn, starts_retraining=False)
        # A metric without a value leaves its alarm as it was.
        above = found | {name for name in above if published(run.report)[name] is None}


def alarms(names: WorkloadNames, runs: Iterable[Execution]) -> tuple[AlarmRaised, ...]:
    """The alarms that started an execution of `retrain`, in the order of the executions.

    Other machines inherit the input of `retrain`, so only its own executions count."""
    started = [run for run in runs if run.machine == "retrain" and alarm_of(run)]
    return tuple(
        AlarmRaised(name=alarm_of(run).removeprefix(f"{names.prefix}-"), at=run.started, execution_arn=run.arn)
        for run in started
    )


@dataclass(frozen=True, kw_only=True)
class ServedWindow:
    """One window whose report says who answered."""

    window: MonitoredWindow
    served: ServedReport
    refused: Mapping[str, int]
    """Refused rows of the drops that came in these days, by reason; of the requests as `requests`."""

    @property
    def percentiles_ms(self) -> str:
        """`3.1 / 4.0 / 9.2`; empty if no call carried a row."""
        times = (self.served.p50_ms, self.served.p95_ms, self.served.p99_ms)
        return " / ".join(f"{one:,.1f}" for one in times if one is not None)


def find_rejected(
    environment: Environment, names: WorkloadNames, windows: Sequence[MonitoredWindow]
) -> Mapping[date, int]:
    """The refused rows of requests by the day on which they came, since the first of these windows."""
    if not windows:
        return {}
    # One call has 1,440 points at most.
    first, end = max(windows[0].start, windows[-1].end - timedelta(days=MOST_DAYS)), windows[-1].end
    span = datetime.combine(first, time(), UTC), datetime.combine(end, time(), UTC)
    named = {"Namespace": names.platform.metrics, "MetricName": "RejectedRows", "Period": DAY_S}
    found = sums(environment, span, **named, Dimensions=[{"Name": "Workload", "Value": names.workload}])
    return {at.date(): int(rows) for at, rows in found.items()}


def served_windows(
    windows: Sequence[MonitoredWindow], drops: Sequence[Drop] = (), rejected: Mapping[date, int] | None = None
) -> tuple[ServedWindow, ...]:
    """The windows that say who answered, in the order of time."""
    found: list[ServedWindow] = []
    for window in windows:
        if (served := window.served) is None or not window.decisions:
            continue
        of_requests = sum(rows for day, rows in (rejected or {}).items() if window.start <= day < window.end)
        refused = Counter({"requests": of_requests} if of_requests else {})
        for drop in drops:
            if f"{window.start}" <= drop.as_of < f"{window.end}":
                refused.update({each.reason: each.rows for each in drop.reasons})
        found.append(ServedWindow(window=window, served=served, refused=refused))
    return tuple(found)
