"""The alarms on what monitors publish. Add one by a line in `RATIO_ALARMS` or `COUNT_ALARMS`.

`RATIO_ALARMS` watch figures that are divided by a calibrated bound, so they are raised above 1. `COUNT_ALARMS` watch
numbers that should be 0, and are raised above 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from millrace.messages.monitor import MonitorReport, WindowReport
from millrace.names import WorkloadNames
from millrace.operations.alarms import (
    ALARMS,
    SECTION_ALARMS,
    OperationsAlarm,
    Severity,
    WatchedMetric,
    consumer_alarms,
    own_alarm,
)
from millrace.workload.declaration import Retraining
from millrace.workload.ends import BusinessFigure
from millrace.workload.policy import FEWEST_LABELS, Floor, Policy


@dataclass(frozen=True, kw_only=True)
class RatioAlarm:
    """An alarm on a figure of the windows, which starts `retrain`, and the words for it."""

    metric: str
    noun: str
    """The word for the figure: `drift` in `drift 0.57 × its bound`."""
    figure: str
    """What the figure is, in words. With `over its bound` behind it, it is the title of the figure's chart."""
    description: str
    of_window: Callable[[WindowReport], float | None]
    """The figure of a window; None if the window says nothing about it."""
    threshold: ClassVar[float] = 1
    severity: ClassVar[Severity] = "look"

    def ratio(self, report: MonitorReport) -> float | None:
        """The value of the metric: the largest figure of the report's windows. None if no window has one."""
        figures = (self.of_window(window) for window in report.windows)
        return max((figure for figure in figures if figure is not None), default=None)


RATIO_ALARMS: dict[str, RatioAlarm] = {
    "input-drift": RatioAlarm(
        metric="InputDrift",
        noun="drift",
        figure="the column that moved most",
        description="a column of the input lies further from the training rows than its bound",
        of_window=lambda window: window.input.ratio if window.input else None,
    ),
    "error": RatioAlarm(
        metric="Error",
        noun="error",
        figure="the lowest of the windows in a row that it takes",
        description="the error on labelled decisions is above its bound, windows in a row",
        of_window=lambda window: window.error.ratio if window.error else None,
    ),
}
"""The alarms by name, as `WorkloadNames.alarm` takes it."""


@dataclass(frozen=True, kw_only=True)
class CountAlarm:
    """An alarm on a number of a report that should be 0. It starts no retraining."""

    metric: str
    noun: str
    """The word for one of what is counted."""
    description: str
    count: Callable[[MonitorReport], int | None]
    """The number of a report; None if the report says nothing about it."""
    severity: Severity = "act"
    threshold: ClassVar[float] = 0


def _overridden(report: MonitorReport) -> int | None:
    """The windows whose answers of people contradict the model beyond the bound; None without such answers."""
    known = [window.error.overrides for window in report.windows if window.error and window.error.overrides]
    return sum(each.ratio > 1 for each in known) if known else None


FLOOR, OVERRIDES = "below-floor", "overrides"
"""The names of the alarms that only a workload with `policy.floor` has, and one with `policy`."""
COUNT_ALARMS: dict[str, CountAlarm] = {
    "unreadable": CountAlarm(
        metric="UnreadableDecisions",
        noun="unreadable decision",
        description="lines of kept decisions cannot be read or do not match their digest: the monitors do not see them",
        count=lambda report: report.unreadable,
    ),
    FLOOR: CountAlarm(
        metric="BelowFloor",
        noun="version below its floor",
        description="the live version does worse than the naive rule on recent labels: the rule answers in its place",
        count=lambda report: int(report.floor.below) if report.floor else None,
    ),
    OVERRIDES: CountAlarm(
        metric="Overrides",
        noun="window with too many overrides",
        description="people decide otherwise than the model by more than it expects and chance in 1 window of 40",
        count=_overridden,
        severity="look",
    ),
}
"""The alarms by name, as `WorkloadNames.alarm` takes it."""


FIGURES = "figures"
"""The name of the alarm that only a workload with `monitors.figures` has."""


def figure_alarms(figures: Mapping[str, BusinessFigure]) -> dict[str, OperationsAlarm[WorkloadNames]]:
    """The alarm on figures of the business, by name; none without a figure. Its periods are days."""
    watched = tuple(WatchedMetric(**one.model_dump(exclude={"bounds"})) for one in figures.values())
    beyond = [one.beyond(f"m{place}") for place, one in enumerate(figures.values())]
    bounds = "; ".join(f"{name} {one.words}" for name, one in figures.items())
    alarm = OperationsAlarm[WorkloadNames](
        severity="look",
        description=f"a figure of the business is beyond its bound on a day: {bounds}",
        metrics=lambda _: watched,
        formula=beyond[0] if len(beyond) == 1 else f"MAX([{', '.join(beyond)}])",
        period_s=86400,
        is_aligned=True,
    )
    return {FIGURES: alarm} if figures else {}


def monitor_alarms(policy: Policy | None) -> dict[str, OperationsAlarm[WorkloadNames]]:
    """The alarms as a template makes them for a workload with this policy, by name.

    Their metrics come with each monitor run. In between, an alarm keeps its state."""
    declared = {FLOOR: bool(policy and policy.floor), OVERRIDES: policy is not None}
    return {
        name: own_alarm(
            alarm.metric, alarm.severity, alarm.description, threshold=alarm.threshold, period_s=60, missing="ignore"
        )
        for name, alarm in (RATIO_ALARMS | COUNT_ALARMS).items()
        if declared.get(name, True)
    }


def every_monitor_alarm() -> dict[str, OperationsAlarm[WorkloadNames]]:
    """The alarms of a workload that declares all that has one, by name."""
    figure = BusinessFigure(namespace="Shop", name="Refunds", bounds={"above": 120})
    return monitor_alarms(Policy(floor=Floor(labels=FEWEST_LABELS))) | figure_alarms({"refunds": figure})


def notifying() -> tuple[str, ...]:
    """The alarms of a workload that send a message with their own description: all but SERVING, and those under it."""
    in_sections = (name for section in SECTION_ALARMS.values() for name in section)
    return (*ALARMS, *consumer_alarms(["any"]), *in_sections, *RATIO_ALARMS, *COUNT_ALARMS, FIGURES)


def published(report: MonitorReport) -> dict[str, float | None]:
    """The value that the report gives to the metric of each alarm, by the alarm's name. None means no value."""
    return ratios(report) | {name: alarm.count(report) for name, alarm in COUNT_ALARMS.items()}


def exceeded(report: MonitorReport) -> frozenset[str]:
    """The names of the alarms with a metric above their threshold after the report."""
    alarms = RATIO_ALARMS | COUNT_ALARMS
    return frozenset(
        name for name, value in published(report).items() if value is not None and value > alarms[name].threshold
    )


def changes(report: MonitorReport, before: Mapping[str, datetime]) -> dict[str, datetime]:
    """By ratio alarm the start of the first window above its bound, until no figure of a report is above it.

    `before` is what was known until now. The error may rest on several windows in a row: the first of them counts."""
    found = {}
    for name, alarm in RATIO_ALARMS.items():
        figures = [(one, ratio) for one in report.windows if (ratio := alarm.of_window(one)) is not None]
        above = {_begin(name, one): ratio > alarm.threshold for one, ratio in figures}
        if since := above_since(above, before.get(name)):
            found[name] = since
    return found


def _begin(alarm: str, window: WindowReport) -> datetime:
    """The start of the first of the windows that the window's figure rests on."""
    windows_before = window.error.windows - 1 if alarm == "error" and window.error else 0
    return window.start - windows_before * (window.end - window.start)


def above_since(above: Mapping[datetime, bool], before: datetime | None) -> datetime | None:
    """The start of the first window above its bound, until none is; by the start of each window whether it is above."""
    return (before or min(at for at, one in above.items() if one)) if any(above.values()) else None if above else before


def starters(retraining: Retraining) -> tuple[str, ...]:
    """The names of the alarms that start a retraining, FIGURES only where it is declared."""
    return (*RATIO_ALARMS, *({FIGURES} & {*retraining.alarms}))


def ratios(report: MonitorReport) -> dict[str, float | None]:
    """The figure of each ratio alarm, by the alarm's name. None if no window of the report has one."""
    return {name: alarm.ratio(report) for name, alarm in RATIO_ALARMS.items()}
